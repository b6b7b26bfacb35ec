"""A report's page: one HTML file with its pictures, which needs no network to be read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from landscope.figures.gallery import Picture, file_stem
from landscope.figures.stages import NotMeasuredError
from landscope.system.atomic import appearing

_ENVIRONMENT = Environment(
    loader=PackageLoader("landscope.figures", "page"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


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


Chapter = tuple[str, str, list[Section]]
"""Heading, what it is about, and its pictures."""


def write_page(path: Path, template: str, **content: Any) -> Path:
    """Fill a template of the folder `page` and write it, replacing what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page = _ENVIRONMENT.get_template(template).render(plotly=Markup(get_plotlyjs()), **content)
    with appearing(path) as beside:
        beside.write_text(page, encoding="utf-8", newline="\n")
    return path


def sections(measured: xr.Dataset, pictures: Sequence[Picture]) -> list[Section]:
    """Draw each picture for the screen; one of something not measured says so instead."""
    found = []
    for picture in pictures:
        try:
            # "</script>" in a label would end the script that holds the JSON.
            plot = Markup(picture.interactive(measured).to_json().replace("</", "<\\/"))
            found.append(Section(file_stem(picture), picture, plot))
        except NotMeasuredError as reason:
            found.append(Section(file_stem(picture), picture, None, str(reason)))
    return found


def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Walk a nested configuration; nested names are joined by dots."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
