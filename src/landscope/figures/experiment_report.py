"""The report of one experiment: claims or numbers, and its pictures."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from landscope.figures.gallery import write_pictures
from landscope.figures.networks import OF_OWN_PROBLEMS
from landscope.figures.networks import PICTURES as OF_NETWORKS
from landscope.figures.random_model import PICTURES as OF_THE_MODEL
from landscope.figures.summary import plus_minus
from landscope.figures.web_page import leaves, sections, write_page

HEADINGS = {
    "model": "The random model",
    "sweep": "The random model along one parameter",
    "fig1": "Clustering of logit gradients",
    "fig2": "The clusters of logit gradients, as measured",
    "fig3a": "Probabilities of a network in the simplex, along training",
    "fig3b": "Freezing of the class probabilities",
    "fig4": "Growth of logits, logit gradients and weights",
    "fig5": "The eigenspectrum of the random model",
    "fig6": "Gradient and Hessian of the random model",
    "fig7": "The largest eigenvalue against the spread of the logits",
    "fig8": "Trace over norm against the spread of the logits",
    "properties": "The four properties: the landscape along training",
    "logit_curvature": "Logit curvature: how weak it is, and how the width changes that",
    "weight_scale": "Weight scale: the landscape along the radius, beside training",
    "hyperplane": "Random hyperplanes: the accuracy that training in them reaches",
    "goldilocks": "The Goldilocks zone: curvature in hyperplanes against the weight radius",
    "zone": "The Goldilocks zone of one problem",
    "intrinsic_dimension": "The intrinsic dimension of one problem",
    "phase": "Phases: how many outliers leave the bulk",
}
PICTURES = {**OF_NETWORKS, **OF_THE_MODEL, **OF_OWN_PROBLEMS}
_PAPER = (
    "Fort & Ganguli, Emergent properties of the local geometry of neural loss landscapes (2019, "
    "arXiv:1910.05929), called the paper below"
)
_LEAD_OF_THE_MODEL = (
    f"Drawn from the random model of {_PAPER}, and held against random matrix theory, which is "
    "this project's own: the paper has none."
)
_LEAD_OF_NETWORKS = f"Measured on networks that were trained for it, and held against {_PAPER}."
_LEAD_OF_OWN_PROBLEMS = (
    f"Measured on one problem, for a property of networks that is from {_PAPER}."
)


def heading(experiment: str) -> str:
    """Title of an experiment, with the number of the paper's figure where it is one.

    Examples
    --------
    >>> heading("fig1"), heading("phase")
    ('Figure 1: clustering of logit gradients', 'Phases: how many outliers leave the bulk')
    """
    title, number = HEADINGS[experiment], experiment.removeprefix("fig")
    if number == experiment:
        return title
    return f"Figure {number}: {title[0].lower()}{title[1:]}"


def write_experiment_report(
    drawn: xr.Dataset,
    path: str | Path,
    experiment: str,
    *,
    claims: Sequence[Mapping[str, Any]] = (),
    numbers: Sequence[Mapping[str, Any]] = (),
    config: Mapping[str, Any] | None = None,
) -> Path:
    """Write the report, and beside it the folder `figures` with every picture as PNG and SVG.

    Parameters
    ----------
    drawn
        What the experiment computed.
    path
        The HTML file; replaced where it exists.
    experiment
        Its name.
    claims
        Each with `statement`, `verdict` and `measured`.
    numbers
        Each with `quantity`, `drawn`, `theory` and their errors `drawn_stderr`, `theory_stderr`;
        along a sweep they are in its picture, and no table is made.
    config
        The configuration of the run, a nested mapping, shown in full.

    Returns
    -------
    pathlib.Path
        The HTML file.
    """
    path = Path(path)
    pictures = PICTURES[experiment]
    write_pictures(pictures, drawn, path.parent / "figures")
    return write_page(
        path,
        "experiment.html.jinja",
        title=heading(experiment),
        lead=_lead(experiment),
        facts={},
        settings=dict(leaves(config or {})),
        claims=claims,
        numbers=[_row(row) for row in numbers if "value" not in row],
        chapters=[("", "", sections(drawn, pictures))],
    )


def _lead(experiment: str) -> str:
    if experiment in OF_OWN_PROBLEMS:
        return _LEAD_OF_OWN_PROBLEMS
    return _LEAD_OF_NETWORKS if experiment in OF_NETWORKS else _LEAD_OF_THE_MODEL


def _row(row: Mapping[str, Any]) -> tuple[str, str, str]:
    drawn, theory = (
        plus_minus(*(math.nan if x is None else x for x in (row[kind], row[f"{kind}_stderr"])))
        for kind in ("drawn", "theory")
    )
    return row["quantity"], drawn, theory
