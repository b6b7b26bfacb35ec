"""The accuracy that training in random hyperplanes reaches, against their dimension."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.networks.over_seeds import each_seed, over_seeds, said_of_seeds
from landscope.figures.panel import Curve, Level, Panel
from landscope.figures.style import BLACK, BLUE, VERMILLION

TITLE = "Hyperplanes: the accuracy that training in them reaches"
HOW_TO_READ = (
    "A row for each data set, a column for each network: accuracy after training in random "
    "hyperplanes of d dimensions, below a dashed line at what training all weights reaches, with "
    "dotted lines at 90 % of that and at the dimension where the curve gets there, which the title "
    "gives with its interval and the number of weights; the last panel compares kinds of basis at "
    "one d, a point for each network."
)
EXPECTED = (
    "The abstract: training can be successful even when confined to low dimensional random affine "
    "hyperplanes. Li et al. 2018 (arXiv:1804.08838) call the d that reaches 90 % of the accuracy "
    "of all weights the intrinsic dimension, and find about 750 for a 784–200–200–10 network on "
    "MNIST. Kinds of basis should not differ."
)
DEFINITIONS = (
    ("W = W<sub>0</sub> + Pθ", "hyperplane of d dimensions; only θ is trained, from θ = 0"),
    (
        "d<sub>90</sub>",
        "intrinsic dimension: where accuracy crosses 90 % of that of all weights; geometric mean "
        "over networks, in brackets the 95 % interval",
    ),
)

_BLANK = Panel("", "", "", [])
"""In the place of a network that was not trained on a data set."""


def figure(measured: xr.Dataset) -> Figure:
    """Draw accuracy against the dimension, and by the kind of basis.

    Parameters
    ----------
    measured
        What `landscope.experiments.networks.hyperplane.compute` returns.
    """
    grid = _grid(measured)
    drawn = static.draw(grid, caption=_caption(measured))
    for axes, panel in zip(drawn.axes, chain(*grid), strict=True):
        if panel is _BLANK:
            axes.remove()
    return drawn


def interactive(measured: xr.Dataset) -> go.Figure:
    """Draw accuracy against the dimension, and by the kind of basis."""
    grid = _grid(measured)
    drawn = plotly_panels.draw(
        [("", [*chain(*grid)])], columns=len(grid[0]), caption=_caption(measured)
    )
    for row, panels in enumerate(grid, start=1):
        for column, panel in enumerate(panels, start=1):
            if panel is _BLANK:
                drawn.update_xaxes(visible=False, row=row, col=column)
                drawn.update_yaxes(visible=False, row=row, col=column)
    return drawn


def _grid(measured: xr.Dataset) -> list[list[Panel]]:
    """Lay out a row for each data set; the kinds of basis take the first place after them."""
    networks = measured["network"].values.tolist()
    rows = [
        [_against_dimension(measured, data, network) for network in networks]
        for data in measured["data"].values.tolist()
    ]
    panels = [panel for row in rows if any(one is not _BLANK for one in row) for panel in row]
    while panels and panels[-1] is _BLANK:
        panels.pop()
    if "kind" in measured.dims:
        panels.append(_by_kind(measured))
    columns = min(max(2, len(networks)), len(panels))
    panels += [_BLANK] * (-len(panels) % columns)
    return [panels[start : start + columns] for start in range(0, len(panels), columns)]


def _against_dimension(measured: xr.Dataset, data: str, network: str) -> Panel:
    one = measured.sel(data=data, network=network)
    accuracy = one["accuracy"].dropna("dim", how="all")
    if not (np.isfinite(float(one["num_params"])) and accuracy.size):
        return _BLANK
    dims, title = accuracy["dim"].values, ", ".join(filter(None, (data, network)))
    curve = over_seeds("in random hyperplanes", dims.astype(float), accuracy, BLUE)
    full = float(one["full_accuracy"].mean("seed"))
    top = np.nanmax([full, *curve.y])
    levels = [_all_weights(dims, full)]
    if title == measured.attrs.get("published_title"):
        levels.append(_published(measured, top))
    return Panel(
        f"{title}<br>{_dimension_said(one)}",
        "dimension d",
        _accuracy_said(measured),
        [curve, *levels],
        levels=_dotted(one, full),
        log_x=True,
        # Above the accuracies there is room for the label of the dimension.
        ylim=(0.0, 1.15 * top),
        xticks=_dimension_ticks(dims),
    )


def _all_weights(dims: np.ndarray, full: float) -> Curve:
    """A level line with an entry in the legend: its label would hide where curves come near."""
    return Curve("all weights", dims[[0, -1]].astype(float), np.full(2, full), BLACK, dashed=True)


def _published(measured: xr.Dataset, top: float) -> Curve:
    """An upright line with an entry in the legend: its label would hide the one measured here."""
    dimension = measured.attrs["published_dimension"]
    said = [f"{_symbol(measured)} = {dimension:,.0f}, Li et al. 2018"] * 2
    return Curve(
        f"published {_symbol(measured)}",
        np.array([dimension, dimension]),
        np.array([0.0, top]),
        VERMILLION,
        dashed=True,
        hover=said,
    )


def _dotted(one: xr.Dataset, full: float) -> list[Level]:
    dimension = float(one["dimension"])
    levels = [
        Level(one.attrs["threshold"] * full, ""),
        Level(dimension, _symbol(one), upright=True),
    ]
    return [level for level in levels if np.isfinite(level.value)]


def _dimension_said(one: xr.Dataset) -> str:
    """Say the intrinsic dimension, its interval and the number of weights."""
    dimension, params = float(one["dimension"]), f"{float(one['num_params']):,.0f}"
    if not np.isfinite(dimension):
        return f"{_symbol(one)} not reached (of {params})"
    interval = _interval_said(float(one["dimension_low"]), float(one["dimension_high"]))
    return f"{_symbol(one)} = {dimension:,.0f}{interval} of {params}"


def _interval_said(low: float, high: float) -> str:
    """Put an interval into brackets, of which either end may be unknown.

    Examples
    --------
    >>> _interval_said(560, 690), _interval_said(1560, np.inf), _interval_said(np.nan, np.nan)
    (' (560–690)', ' (at least 1,560)', '')
    """
    if np.isfinite([low, high]).all():
        return f" ({low:,.0f}–{high:,.0f})"
    if np.isfinite(low):
        return f" (at least {low:,.0f})"
    return f" (at most {high:,.0f})" if np.isfinite(high) else ""


def _dimension_ticks(dims: Sequence[int] | np.ndarray) -> tuple[list[float], list[str]]:
    """Give ticks at dimensions, so far apart that their labels stay clear of one another.

    Examples
    --------
    >>> _dimension_ticks([8, 9, 1024, 2048])
    ([8.0, 1024.0, 2048.0], ['8', '1,024', '2,048'])
    """
    gap = np.log(dims[-1] / dims[0]) / 9
    marks = [float(dims[0])]
    for dim in dims[1:]:
        if np.log(dim / marks[-1]) >= gap:
            marks.append(float(dim))
    return marks, [f"{mark:,.0f}" for mark in marks]


def _by_kind(measured: xr.Dataset) -> Panel:
    kinds = measured["kind"].values.tolist()
    places = np.arange(len(kinds), dtype=float)
    return Panel(
        f"Kinds of basis at d = {measured.attrs['kind_dim']:,}<br>{measured.attrs['kind_title']}",
        "kind of basis",
        _accuracy_said(measured),
        [each_seed("each network", places, measured["kind_accuracy"], BLUE, kinds)],
        xlim=(-0.5, len(kinds) - 0.5),
        xticks=(places.tolist(), kinds),
    )


def _accuracy_said(measured: xr.Dataset) -> str:
    return f"accuracy on {measured.attrs.get('scored', 'test data')}"


def _symbol(measured: xr.Dataset) -> str:
    return f"d<sub>{100 * measured.attrs['threshold']:g}</sub>"


def _caption(measured: xr.Dataset) -> str:
    percent = f"{100 * measured.attrs['threshold']:g} %"
    said = (
        f"Dotted: {percent} of the mean accuracy of training all weights, and {_symbol(measured)}, "
        "the dimension that reaches it, in brackets its 95 % interval. "
    )
    if "kind" not in measured.dims:
        return f"{said}{said_of_seeds(measured)}"
    last = "" if measured.sizes["seed"] == 1 else " Last panel: each network."
    return f"{said}Published: Li et al. 2018. {said_of_seeds(measured)}{last}"
