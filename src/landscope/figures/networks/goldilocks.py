"""Curvature in random hyperplanes along the weight radius, beside training in them."""

from dataclasses import replace
from itertools import chain

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.networks.over_seeds import (
    above_zero,
    limits_of,
    over_seeds,
    said_of_seeds,
)
from landscope.figures.panel import Curve, Level, Panel
from landscope.figures.style import BLACK, GREEN, OPERATOR_COLOURS, PURPLE, VERMILLION

TITLE = "Goldilocks zone: curvature in hyperplanes, and training in them, along the radius"
HOW_TO_READ = (
    "A column for each network, a row for each quantity, all on the same axis of the weights' "
    "radius r: where the first two rows are high is the zone, the two below tell how far the "
    "network is from uniform and from frozen outputs, and the last how well training in random "
    "hyperplanes goes from there."
)
EXPECTED = (
    "Property 4 of the abstract: training succeeds in low dimensional random hyperplanes as long "
    "as they intersect a Goldilocks zone of higher than average curvature. Fort & Scherlis 2018 "
    "(arXiv:1807.02581): the zone is a shell of radii with high Tr/‖·‖ and an excess of positive "
    "eigenvalues, usual initialisations lie in it, and training in random hyperplanes works from "
    "there."
)
DEFINITIONS = (
    ("r = ‖W‖/‖W<sub>0</sub>‖", "radius: the weights times r, 1 where they start"),
    ("H<sub>P</sub> = P<sup>T</sup>HP", "Hessian in a random hyperplane; G<sub>P</sub> alike"),
    (
        "random model",
        "Tr/‖·‖<sub>F</sub> of the paper's random model (its Fig. 8) at the measured σ<sub>z</sub>",
    ),
    ("σ<sub>z</sub>, S", "spread of the logits; mean entropy of the class probabilities"),
)

_MARKS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)

_Quantity = tuple[str, str, str, str]
"""Variable, name, colour and symbol."""

_H, _G = OPERATOR_COLOURS["hessian"], OPERATOR_COLOURS["gauss_newton"]
_ROWS: tuple[tuple[str, tuple[_Quantity, ...], bool], ...] = (
    (
        "Tr/‖·‖<sub>F</sub>",
        (
            ("trace_over_norm", "H<sub>P</sub>", _H, "circle"),
            ("gauss_newton_trace_over_norm", "G<sub>P</sub>", _G, "diamond-open"),
            ("model_trace_over_norm", "random model", PURPLE, "triangle-up"),
        ),
        False,
    ),
    ("share λ(H<sub>P</sub>) > 0", (("positive_share", "share", _H, "circle"),), False),
    ("logit spread σ<sub>z</sub>", (("sigma_z", "σ<sub>z</sub>", GREEN, "square"),), True),
    ("entropy S (nats)", (("entropy", "S (nats)", VERMILLION, "x"),), False),
    ("test accuracy", (("trained_accuracy", "accuracy", BLACK, "circle"),), False),
)


def figure(measured: xr.Dataset) -> Figure:
    """Draw a row for each quantity and a column for each nonlinearity.

    Parameters
    ----------
    measured
        What `landscope.experiments.networks.goldilocks.compute` returns.
    """
    return static.draw(_grid(measured), caption=_caption(measured), row_height=1.45)


def interactive(measured: xr.Dataset) -> go.Figure:
    """Draw a row for each quantity and a column for each nonlinearity."""
    grid = _grid(measured)
    drawn = plotly_panels.draw(
        [("", [*chain(*grid)])],
        columns=len(grid[0]),
        caption=_caption(measured),
        row_height=260,
    )
    # Logits spread over many decades, more than there is room to name.
    drawn.update_yaxes(tickmode="auto", nticks=6, selector={"type": "log"})
    return drawn


def _grid(measured: xr.Dataset) -> list[list[Panel]]:
    """What was not measured has no row."""
    rows = [row for row in _ROWS if row[1][0][0] in measured]
    grid = [_row(measured, *row) for row in rows]
    # All rows share their columns, which are named above the first and below the last.
    grid[0] = [_headed(panel, name) for panel, name in zip(grid[0], _names(measured), strict=True)]
    grid[-1] = [replace(panel, xlabel=_radius_said(measured)) for panel in grid[-1]]
    return grid


def _headed(panel: Panel, name: str) -> Panel:
    """With its name, and room above the curves for the labels of the radii."""
    assert panel.ylim is not None, "there is a value to draw"
    low, high = panel.ylim
    return replace(panel, title=name, ylim=(low, high + 0.2 * (high - low)))


def _names(measured: xr.Dataset) -> list[str]:
    return [str(name) for name in measured["nonlinearity"].values]


def _radius_said(measured: xr.Dataset) -> str:
    return "radius r (× PyTorch's default)" if "he_radius" in measured.attrs else "radius r"


def _row(
    measured: xr.Dataset, ylabel: str, quantities: tuple[_Quantity, ...], log: bool
) -> list[Panel]:
    is_first = ylabel == _ROWS[0][0]
    curves, levels = {}, {}
    for name in _names(measured):
        of_one = measured.sel(nonlinearity=name)
        curves[name] = [_curve(of_one, one, log) for one in quantities if one[0] in measured]
        levels[name] = _levels(of_one, quantities[0][0])
    values = [level.value for of_one in levels.values() for level in of_one]
    limits = limits_of([*chain(*curves.values())], log, [0.0, *values] if is_first else values)
    return [
        Panel(
            "",
            "",
            ylabel,
            curves[name],
            levels=[*levels[name], *_radii(measured, labelled=is_first)],
            log_x=True,
            log_y=log,
            xlim=_radius_limits(measured),
            ylim=limits,
            xticks=(_MARKS, [f"{mark:g}" for mark in _MARKS]),
        )
        for name in curves
    ]


def _curve(of_one: xr.Dataset, quantity: _Quantity, log: bool) -> Curve:
    variable, name, colour, symbol = quantity
    values = of_one[variable]
    (along,) = set(values.dims) - {"seed"}
    curve = over_seeds(
        name,
        of_one[along].values,
        values,
        colour,
        symbol=symbol,
        dashed=name == "random model",
    )
    return above_zero(curve) if log else curve


def _levels(of_one: xr.Dataset, variable: str) -> list[Level]:
    """What the quantity of a row is held against."""
    C = of_one.attrs["num_classes"]
    match variable:
        case "positive_share":
            return [Level(0.5, "")]
        case "entropy":
            return [Level(float(np.log(C)), "ln C")]
        case "trained_accuracy":
            full = float(of_one["full_accuracy"].mean("seed"))
            reached = [Level(full, "all weights")] if np.isfinite(full) else []
            return [*reached, Level(1 / C, "")]
    return []


def _radii(measured: xr.Dataset, labelled: bool) -> list[Level]:
    """Usual initialisations."""
    if "he_radius" not in measured.attrs:
        return [Level(1.0, "", upright=True)]
    radii = {"PyTorch": 1.0, "He": measured.attrs["he_radius"]}
    return [Level(r, name if labelled else "", upright=True) for name, r in radii.items()]


def _radius_limits(measured: xr.Dataset) -> tuple[float, float]:
    """The same for all rows, though training starts at fewer radii than are measured."""
    radii = measured["radius"].values
    if "trained_radius" in measured:
        radii = np.concatenate([radii, measured["trained_radius"].values])
    return float(radii.min()) / 1.2, float(radii.max()) * 1.2


def _caption(measured: xr.Dataset) -> str:
    of = measured.attrs
    if "he_radius" not in of:
        return (
            f"{of['num_examples']:,} examples, {of['num_params']:,} weights, hyperplanes of "
            f"d = {of['dim']}. Dotted: the weights as they are, r = 1; a share of 1/2; ln C. "
            f"{said_of_seeds(measured)}"
        )
    return (
        f"{of['network_title']}, {of['num_examples']:,} examples of {of['data_title']}. "
        f"{of['num_hyperplanes']} hyperplanes at each radius, d = {of['dim']}; training: "
        f"d = {of['train_dim']:,}. Dotted: r = 1, PyTorch's default; r = {of['he_radius']:.3g}, "
        f"He's; a share of 1/2; ln C; all weights; chance 1/C. {said_of_seeds(measured)}"
    )
