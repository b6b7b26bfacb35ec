"""Describe a panel once, so that the static and the interactive picture show the same."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["line", "series", "points", "sticks", "bars"]


@dataclass(frozen=True)
class Curve:
    """One set of points in a panel.

    Attributes
    ----------
    name
        What the legend says. Curves of one name share one entry.
    x, y
        Coordinates, shape (n,).
    colour
        Hexadecimal.
    kind
        "line" with its error as a band; "series", a line through markers with error bars;
        "points"; "sticks" from the bottom of the panel; "bars" from zero.
    error
        Half-width of the band or of the error bars, shape (n,); None where there is none.
    hover
        What is said of each point when it is pointed at; None for its coordinates.
    symbol
        Marker by its plotly name.
    dashed
        Whether a line is dashed.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    colour: str
    kind: Kind = "line"
    error: np.ndarray | None = None
    hover: Sequence[str] | None = None
    symbol: str = "circle"
    dashed: bool = False


@dataclass(frozen=True)
class Level:
    """A dotted reference line across a panel, with its label beside it.

    Attributes
    ----------
    value
        Where it stands.
    label
        What it marks.
    upright
        Whether it stands at an x (True) or lies at a y (False).
    """

    value: float
    label: str
    upright: bool = False


@dataclass(frozen=True)
class Panel:
    """One pair of axes. Labels may hold <sub> and <sup>.

    Attributes
    ----------
    title, xlabel, ylabel
        Labels, with units where there are any.
    curves, levels
        What is drawn.
    log_x, log_y
        Whether an axis is logarithmic.
    xlim, ylim
        The range of an axis; None to fit the data.
    xticks
        Positions and labels of the horizontal ticks; None to choose.
    """

    title: str
    xlabel: str
    ylabel: str
    curves: Sequence[Curve]
    levels: Sequence[Level] = ()
    log_x: bool = False
    log_y: bool = False
    xlim: tuple[float, float] | None = None
    ylim: tuple[float, float] | None = None
    xticks: tuple[Sequence[float], Sequence[str]] | None = None


def names_to_explain(panels: Iterable[Panel]) -> set[str]:
    """Name the curves that need a legend: those that share a panel, which its label cannot name."""
    return {curve.name for panel in panels if len(panel.curves) > 1 for curve in panel.curves}


def rank_ticks(count: int) -> tuple[list[float], list[str]]:
    """Give ticks for ranks from 1: the first, and every fifth.

    Examples
    --------
    >>> rank_ticks(12)
    ([1.0, 5.0, 10.0], ['1', '5', '10'])
    """
    marks = [1, *range(5, count + 1, 5)]
    return [float(mark) for mark in marks], [str(mark) for mark in marks]
