"""The report of the random model: claims or numbers, and the pictures of an experiment."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from landscope.figures.gallery import write_pictures
from landscope.figures.random_model import PICTURES
from landscope.figures.summary import plus_minus
from landscope.figures.web_page import leaves, sections, write_page

HEADINGS = {
    "model": "The random model",
    "sweep": "The random model along one parameter",
    "fig3b": "Freezing of the class probabilities",
    "fig5": "The eigenspectrum of the random model",
    "fig6": "Gradient and Hessian of the random model",
    "fig7": "The largest eigenvalue against the spread of the logits",
    "fig8": "Trace over norm against the spread of the logits",
    "phase": "How many outliers leave the bulk",
}
_LEAD = (
    "Drawn from the random model of Fort & Ganguli, Emergent properties of the local geometry of "
    "neural loss landscapes (2019, arXiv:1910.05929), called the paper below, and held against "
    "random matrix theory, which is this project's own: the paper has none."
)


def write_model_report(
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
    settings = dict(leaves(config or {}))
    number = experiment.removeprefix("fig")
    title = HEADINGS[experiment]
    return write_page(
        path,
        "model.html.jinja",
        title=title if number == experiment else f"Figure {number}: {title[0].lower()}{title[1:]}",
        lead=_LEAD,
        facts={},
        settings=settings,
        claims=claims,
        numbers=[_row(row) for row in numbers if "value" not in row],
        chapters=[("", "", sections(drawn, pictures))],
    )


def _row(row: Mapping[str, Any]) -> tuple[str, str, str]:
    drawn, theory = (
        plus_minus(*(math.nan if x is None else x for x in (row[kind], row[f"{kind}_stderr"])))
        for kind in ("drawn", "theory")
    )
    return row["quantity"], drawn, theory
