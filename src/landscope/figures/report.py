"""The report: one HTML file with every picture, which needs no network to be read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from landscope.figures.gallery import (
    EXPLANATIONS,
    MONITORS,
    OBSERVATIONS,
    PROPERTIES,
    write_figures,
)
from landscope.figures.stages import as_trajectory, number_of_classes, present, series
from landscope.figures.summary import summary
from landscope.figures.web_page import Chapter, leaves, sections, write_page


def write_report(
    trajectory: xr.Dataset,
    path: str | Path,
    title: str = "Local geometry of the loss landscape",
    config: Mapping[str, Any] | None = None,
) -> Path:
    """Write the report, and beside it the folder `figures` with every picture as PNG and SVG.

    Parameters
    ----------
    trajectory
        Measurements along the dimension `step`, or a single snapshot, as `landscope.measure`
        returns them. What was not measured is left out with a note.
    path
        The HTML file; replaced where it exists.
    title
        The heading.
    config
        The configuration of the run, a nested mapping, shown in full. Its `optimizer` and
        `momentum` also decide which limit of stability is drawn where none was measured.

    Returns
    -------
    pathlib.Path
        The HTML file.
    """
    path = Path(path)
    settings = dict(leaves(config or {}))
    trajectory = as_trajectory(trajectory)
    trajectory = trajectory.assign_attrs(
        {key: settings[key] for key in ("optimizer", "momentum") if key in settings}
    )
    write_figures(trajectory, path.parent / "figures")
    return write_page(
        path,
        "report.html.jinja",
        title=title,
        facts=_facts(trajectory, settings),
        settings=settings,
        failures=trajectory.attrs.get("failures", ""),
        steps=[int(step) for step in trajectory["step"].values],
        summary=summary(trajectory),
        chapters=_chapters(trajectory),
    )


def _chapters(trajectory: xr.Dataset) -> list[Chapter]:
    return [
        (
            "Properties of the landscape",
            "What the paper sets out to explain: few directions of high curvature, gradients that "
            "lie in them, and curvature that rises and falls along training.",
            sections(trajectory, PROPERTIES),
        ),
        (
            "Observations the model rests on",
            "Why it should be so: weak logit curvature, logit gradients that cluster, and class "
            "probabilities that freeze.",
            sections(trajectory, OBSERVATIONS),
        ),
        (
            "The random model",
            "How much of the spectrum and of the gradient the model explains, fitted to what was "
            "measured.",
            sections(trajectory, EXPLANATIONS),
        ),
        (
            "The optimiser",
            "How far its steps are from the largest that this curvature lets stand.",
            sections(trajectory, MONITORS),
        ),
    ]


def _facts(trajectory: xr.Dataset, settings: Mapping[str, Any]) -> dict[str, str]:
    """Name network, data, sizes, seed and versions, as far as they are known."""
    sizes = {
        "examples N": "num_examples",
        "parameters D": "num_params",
    }
    attrs = trajectory.attrs
    facts = {
        key: str(settings[key])
        for key in ("network", "nonlinearity", "data", "optimizer")
        if settings.get(key) is not None
    }
    facts |= {
        label: f"{series(trajectory, name)[-1]:,.0f}"
        for label, name in sizes.items()
        if present(trajectory, name)
    }
    facts["classes C"] = str(number_of_classes(trajectory))
    facts |= {
        label: str(attrs[key])
        for label, key in (
            ("seed", "seed"),
            ("landscope", "landscope_version"),
            ("torch", "torch_version"),
        )
        if key in attrs
    }
    return facts
