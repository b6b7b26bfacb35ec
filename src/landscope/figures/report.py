"""The report: one HTML file with every picture, which needs no network to be read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from landscope.figures.gallery import (
    OBSERVATIONS,
    PROPERTIES,
    Picture,
    file_stem,
    write_figures,
)
from landscope.figures.stages import (
    NotMeasuredError,
    as_trajectory,
    number_of_classes,
    present,
    series,
)
from landscope.figures.summary import summary


@dataclass(frozen=True)
class Section:
    """One picture in the report.

    Attributes
    ----------
    name
        Of its files, and its anchor.
    picture
        The module that draws it.
    plot
        The interactive figure as JSON; None where it is left out.
    note
        Why it is left out; empty where it is not.
    """

    name: str
    picture: Picture
    plot: Markup | None
    note: str = ""


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
        `momentum` also decide which limit of stability is drawn.

    Returns
    -------
    pathlib.Path
        The HTML file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = dict(_leaves(config or {}))
    trajectory = as_trajectory(trajectory)
    trajectory = trajectory.assign_attrs(
        {key: settings[key] for key in ("optimizer", "momentum") if key in settings}
    )
    write_figures(trajectory, path.parent / "figures")
    page = _ENVIRONMENT.get_template("report.html.jinja").render(
        title=title,
        facts=_facts(trajectory, settings),
        settings=settings,
        failures=trajectory.attrs.get("failures", ""),
        steps=[int(step) for step in trajectory["step"].values],
        summary=summary(trajectory),
        chapters=_chapters(trajectory),
        plotly=Markup(get_plotlyjs()),
    )
    path.write_text(page, encoding="utf-8")
    return path


_ENVIRONMENT = Environment(
    loader=PackageLoader("landscope.figures", "page"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _chapters(trajectory: xr.Dataset) -> list[tuple[str, str, list[Section]]]:
    return [
        (
            "Properties of the landscape",
            "What the paper sets out to explain: few directions of high curvature, gradients that "
            "lie in them, and curvature that rises and falls along training.",
            _sections(trajectory, PROPERTIES),
        ),
        (
            "Observations the model rests on",
            "Why it should be so: weak logit curvature, logit gradients that cluster, and class "
            "probabilities that freeze.",
            _sections(trajectory, OBSERVATIONS),
        ),
    ]


def _sections(trajectory: xr.Dataset, pictures: Sequence[Picture]) -> list[Section]:
    sections = []
    for picture in pictures:
        try:
            # "</script>" in a label would end the script that holds the JSON.
            plot = Markup(picture.interactive(trajectory).to_json().replace("</", "<\\/"))
            sections.append(Section(file_stem(picture), picture, plot))
        except NotMeasuredError as reason:
            sections.append(Section(file_stem(picture), picture, None, str(reason)))
    return sections


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


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
