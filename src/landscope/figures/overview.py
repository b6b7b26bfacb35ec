"""All figures of a reproduction on one page: each claim against what was found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landscope.figures.experiment_report import PICTURES, heading
from landscope.figures.gallery import file_stem
from landscope.figures.web_page import write_page


@dataclass(frozen=True)
class Reproduced:
    """One experiment on the page.

    Attributes
    ----------
    folder
        Of its run, relative to the page.
    title
        What it is.
    claims
        Each with `statement`, `verdict` and `measured`.
    pictures
        For each its title, how to read it, and its file relative to the page.
    """

    folder: str
    title: str
    claims: Sequence[Mapping[str, Any]]
    pictures: Sequence[tuple[str, str, str]]


def write_overview(claims: Mapping[str, Sequence[Mapping[str, Any]]], path: str | Path) -> Path:
    """Write a page of all claims, with the pictures behind them and links to their reports.

    Parameters
    ----------
    claims
        By experiment, whose run lies beside the page in the folder of its name.
    path
        The HTML file; replaced where it exists.

    Returns
    -------
    pathlib.Path
        The HTML file.
    """
    path = Path(path)
    reproduced = [
        Reproduced(name, heading(name), of_one, _pictures(name, path.parent))
        for name, of_one in claims.items()
    ]
    verdicts = [claim["verdict"] for of_one in claims.values() for claim in of_one]
    facts = {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts), key=_ORDER)}
    return write_page(
        path,
        "overview.html.jinja",
        title="The paper, made anew",
        facts=facts,
        settings={},
        chapters=[],
        reproduced=reproduced,
    )


_ORDER = ("holds", "holds in part", "does not hold").index


def _pictures(name: str, folder: Path) -> list[tuple[str, str, str]]:
    """Those that were drawn."""
    files = {picture: f"{name}/figures/{file_stem(picture)}.png" for picture in PICTURES[name]}
    return [
        (picture.TITLE, picture.HOW_TO_READ, file)
        for picture, file in files.items()
        if (folder / file).exists()
    ]
