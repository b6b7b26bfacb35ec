"""Draw panels with matplotlib, for print."""

import re
from collections.abc import Collection, Sequence
from itertools import chain
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from landscope.figures.panel import Curve, Level, Panel, names_to_explain
from landscope.figures.style import FULL_WIDTH, INK, MUTED, PAPER

# Characters of a caption's line, tags counted.
_CAPTION_WIDTH = 140

_MARKERS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "diamond-open": "D",
    "x": "x",
    "star": "*",
}


@matplotlib.rc_context(PAPER)
def draw(grid: Sequence[Sequence[Panel]], caption: str = "", row_height: float = 2.1) -> Figure:
    """Draw rows of panels, with one legend above and a caption below.

    A vertical label that repeats the first of its row is left out.

    Parameters
    ----------
    grid
        Rows of equal length, from the top.
    caption
        One sentence below the panels.
    row_height
        Inches for each row.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(FULL_WIDTH, row_height * len(grid) + 0.35), layout="constrained")
    axes = figure.subplots(len(grid), len(grid[0]), squeeze=False)
    for row, panels in zip(axes, grid, strict=True):
        for one, panel in zip(row, panels, strict=True):
            _draw_panel(one, panel)
            if one is not row[0] and panel.ylabel == panels[0].ylabel:
                one.set_ylabel("")
    _legend(figure, {mathtext(name) for name in names_to_explain(chain(*grid))})
    if caption:
        write_caption(figure, caption)
    settle(figure)
    return figure


def settle(figure: Figure) -> None:
    """Lay the figure out once and for all, which is slow, instead of once for each file."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    figure.set_layout_engine("none")


@matplotlib.rc_context(PAPER)
def pixels(figure: Figure, dpi: int = 150) -> np.ndarray:
    """Give a drawn figure as an image, for the screen.

    Parameters
    ----------
    figure
        As `draw` returns it.
    dpi
        Pixels for each inch.

    Returns
    -------
    numpy.ndarray
        Red, green and blue, shape (height, width, 3), uint8.
    """
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


@matplotlib.rc_context(PAPER)
def write(figure: Figure, path: Path) -> None:
    """Write a drawn figure as PNG or as SVG, as the suffix of its file says.

    `Figure.savefig` draws everything twice, the first time for the layout, which `settle` has done.

    Parameters
    ----------
    figure
        As `draw` returns it.
    path
        The file; replaced where it exists.
    """
    canvas, dpi = figure.canvas, figure.dpi
    figure.set_dpi(matplotlib.rcParams["savefig.dpi"])
    if path.suffix == ".svg":
        # No date: the same measurements give the same file.
        FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None})
    else:
        FigureCanvasAgg(figure).print_png(path)
    figure.set_canvas(canvas)
    figure.set_dpi(dpi)


def write_caption(figure: Figure, caption: str) -> None:
    """Write a sentence below the panels."""
    # Lines that matplotlib breaks by itself are not counted by the layout.
    lines = "\n".join(wrap(caption, _CAPTION_WIDTH))
    figure.supxlabel(mathtext(lines), fontsize=6.8, color=MUTED, x=0.01, ha="left", ma="left")


def mathtext(label: str) -> str:
    r"""Turn <sub>, <sup> and <br> into matplotlib's notation.

    Examples
    --------
    >>> mathtext("σ<sub>z</sub>")
    'σ$_{\\mathregular{z}}$'
    """
    label = label.replace("<br>", "\n")
    label = re.sub(r"<sub>(.*?)</sub>", r"$_{\\mathregular{\1}}$", label)
    return re.sub(r"<sup>(.*?)</sup>", r"$^{\\mathregular{\1}}$", label)


def _draw_panel(axes: Axes, panel: Panel) -> None:
    axes.set_title(mathtext(panel.title))
    axes.set_xlabel(mathtext(panel.xlabel))
    axes.set_ylabel(mathtext(panel.ylabel))
    if panel.log_x:
        axes.set_xscale("log")
    if panel.log_y:
        axes.set_yscale("log")
    axes.minorticks_off()
    if panel.xlim:
        axes.set_xlim(*panel.xlim)
    if panel.ylim:
        axes.set_ylim(*panel.ylim)
    if panel.xticks:
        axes.set_xticks(*panel.xticks)
    bars = [curve for curve in panel.curves if curve.kind == "bars"]
    for curve in panel.curves:
        if curve.kind == "bars":
            _draw_bars(axes, curve, bars.index(curve), len(bars))
        else:
            _draw_curve(axes, curve)
    for level in panel.levels:
        _draw_level(axes, level)
    for axis in (axes.xaxis, axes.yaxis):
        if isinstance(axis.get_major_formatter(), ScalarFormatter):
            axis.set_major_formatter(_Decimals())


class _Decimals(ScalarFormatter):
    """Numbers as text: of an axis only a power of ten is a formula, which is slow to set."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return super().__call__(x, pos).removeprefix("$\\mathdefault{").removesuffix("}$")


def _draw_curve(axes: Axes, curve: Curve) -> None:
    name, colour, marker = mathtext(curve.name), curve.colour, _MARKERS[curve.symbol]
    if curve.kind == "line":
        axes.plot(curve.x, curve.y, color=colour, ls="--" if curve.dashed else "-", label=name)
        if curve.error is not None:
            floor = axes.get_ylim()[0] if axes.get_yscale() == "log" else -np.inf
            lower = np.maximum(curve.y - curve.error, floor)
            axes.fill_between(curve.x, lower, curve.y + curve.error, color=colour, alpha=0.22, lw=0)
    elif curve.kind == "sticks":
        axes.vlines(curve.x, axes.get_ylim()[0], curve.y, color=colour, lw=0.8)
        # The layout counts what is not clipped, and fails on markers of which there are none.
        (points,) = axes.plot(curve.x, curve.y, marker, color=colour, label=name)
        points.set_clip_on(len(curve.x) == 0)
    else:
        style: dict[str, Any] = {
            "ls": "none" if curve.kind == "points" else "--" if curve.dashed else "-",
            "color": colour,
            "markerfacecolor": "none" if curve.symbol.endswith("-open") else colour,
            "label": name,
        }
        if curve.error is None:
            axes.plot(curve.x, curve.y, marker=marker, **style)
        else:
            style |= {"elinewidth": 0.8, "capsize": 1.8}
            axes.errorbar(curve.x, curve.y, curve.error, fmt=marker, **style)


def _draw_bars(axes: Axes, curve: Curve, index: int, count: int) -> None:
    width = 0.8 / count
    axes.bar(
        curve.x + (index - (count - 1) / 2) * width,
        curve.y,
        width,
        yerr=curve.error,
        error_kw={"elinewidth": 0.7, "ecolor": INK},
        color=curve.colour,
        label=mathtext(curve.name),
    )
    axes.grid(visible=False, axis="x")


def _draw_level(axes: Axes, level: Level) -> None:
    style: dict[str, Any] = {"textcoords": "offset points", "fontsize": 6.4, "color": MUTED}
    line: dict[str, Any] = {"color": MUTED, "lw": 0.8, "ls": ":"}
    if level.upright:
        axes.axvline(level.value, **line)
        style |= {"xycoords": ("data", "axes fraction"), "xytext": (2, -1), "va": "top"}
        axes.annotate(mathtext(level.label), (level.value, 1), **style)
    else:
        axes.axhline(level.value, **line)
        style |= {"xycoords": ("axes fraction", "data"), "xytext": (-1, 1), "ha": "right"}
        axes.annotate(mathtext(level.label), (1, level.value), **style)


def _legend(figure: Figure, named: Collection[str]) -> None:
    entries: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if label in named:
                entries.setdefault(label, handle)
    if entries:
        figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside upper left",
            ncols=min(len(entries), 7),
        )
