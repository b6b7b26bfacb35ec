"""What networks measured along training, for each combination of choices of a sweep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

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
    steps_said,
)
from landscope.figures.panel import Curve, Panel
from landscope.figures.stages import NotMeasuredError, TrainingAxis, present, training_axis
from landscope.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY_BLUE,
    SYMBOLS,
    VERMILLION,
    stage_colours,
)

TITLE = "Sweep: along training, for each combination of choices"
HOW_TO_READ = (
    "Each row of panels is one combination of the choices in its title, each column one quantity "
    "along training on an axis that all rows share, and each colour one value of the choice in "
    "the legend."
)
EXPECTED = (
    "For every network and data set: logit gradients of the same logit cluster, as many outliers "
    "as classes or one less, and a largest eigenvalue that rises, then falls. How they depend on "
    "the choices that are swept here, the paper does not say."
)
DEFINITIONS = (
    ("λ<sub>max</sub>(H)", "largest eigenvalue of the Hessian, in loss/weight²"),
    ("outliers of H", "eigenvalues above the bulk of the Hessian's spectrum"),
    ("q<sub>SL</sub>", "mean cosine of gradients of the same logit at two examples"),
)

MOST_ROWS = 12
"""Of panels: the table has the other combinations."""

_MOST_COLUMNS = 3
_WIDE = 30
_DISTINCT = (BLUE, ORANGE, GREEN, PURPLE, VERMILLION, SKY_BLUE, BLACK)
_SHARED = ("network", "nonlinearity", "data", "optimizer")
_SYMBOLS_OF_CHOICES = {"learning_rate": "η"}


@dataclass(frozen=True)
class _Quantity:
    variable: str
    title: str
    label: str
    wide: bool = False
    """Whether it may range over many scales; where it does, its axis is logarithmic."""


_QUANTITIES = (
    _Quantity("loss", "Loss", "loss (nats)", wide=True),
    _Quantity("lambda_max", "Largest eigenvalue", "λ<sub>max</sub>(H) (loss/weight²)", wide=True),
    _Quantity("q_sl", "Clustering", "q<sub>SL</sub>, mean cosine"),
    _Quantity("test_accuracy", "Test accuracy", "test accuracy"),
    _Quantity("hessian_num_outliers", "Outliers", "outliers of H"),
    _Quantity("sigma_z", "Spread of the logits", "σ<sub>z</sub> (logit)"),
    _Quantity("hessian_trace_over_norm", "Trace over norm", "Tr H/‖H‖"),
    _Quantity("logit_curvature_ratio", "Logit curvature", "‖R‖/‖G‖"),
    _Quantity("accuracy", "Accuracy", "accuracy"),
    _Quantity("entropy", "Entropy", "entropy (nats)"),
)


def figure(table: xr.Dataset) -> Figure:
    """Draw a row of panels for each combination, a column for each quantity.

    Parameters
    ----------
    table
        Of `landscope.experiments.sweep`.
    """
    rows = _rows(table)
    return static.draw(rows, caption=_caption(table), row_height=1.9 if len(rows) > 1 else 2.6)


def interactive(table: xr.Dataset) -> go.Figure:
    """Draw a row of panels for each combination, a column for each quantity."""
    rows = _rows(table)
    panels = [panel for row in rows for panel in row]
    return plotly_panels.draw(
        [("", panels)], columns=len(rows[0]), caption=_caption(table), row_height=300
    )


def choice_title(name: str) -> str:
    """Name a choice in words.

    Examples
    --------
    >>> choice_title("learning_rate"), choice_title("hyperplane.dim")
    ('learning rate', 'hyperplane dim')
    """
    return name.replace("_", " ").replace(".", " ")


def _choices(table: xr.Dataset) -> tuple[list[str], list[str]]:
    """What tells rows of panels apart, and what tells colours apart: the longest axis."""
    choices = [name for name in table.attrs["swept"].split(",") if name != "seed"]
    if not choices:
        return [], []
    colour = max(reversed(choices), key=lambda name: table.sizes[name])
    return [name for name in choices if name != colour], [colour]


def _places(table: xr.Dataset, choices: Sequence[str]) -> list[dict[str, Any]]:
    axes = (table[name].values.tolist() for name in choices)
    return [dict(zip(choices, place, strict=True)) for place in product(*axes)]


def _measured(table: xr.Dataset, place: Mapping[str, Any]) -> bool:
    """Whether any network there came as far as its first stage."""
    return bool(table["training_step"].sel(place).notnull().any())


def _rows(table: xr.Dataset) -> list[list[Panel]]:
    quantities = [one for one in _QUANTITIES if present(table, one.variable)][:_MOST_COLUMNS]
    if not quantities:
        raise NotMeasuredError("no network measured anything that is drawn here")
    of_rows, of_colours = _choices(table)
    places = [place for place in _places(table, of_rows) if _measured(table, place)][:MOST_ROWS]
    columns = [
        _with_one_scale(
            [_panel(table, quantity, place, of_colours) for place in places], quantity.wide
        )
        for quantity in quantities
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _panel(
    table: xr.Dataset, quantity: _Quantity, place: Mapping[str, Any], of_colours: Sequence[str]
) -> Panel:
    here = table.sel(place)
    steps = np.unique(here["training_step"].values)
    axis = training_axis(steps[np.isfinite(steps)])
    values = _places(here, of_colours)
    curves = [
        _curve(here.sel(value), quantity, axis, _said(value, symbols=True), colour, symbol)
        for value, colour, symbol in zip(
            values,
            _colours(values),
            (SYMBOLS * len(values))[: len(values)],
            strict=True,
        )
        if _measured(here, value)
    ]
    return Panel(
        title=_said(place) or quantity.title,
        xlabel="training step",
        ylabel=quantity.label,
        curves=curves,
        xticks=(axis.ticks, axis.tick_labels),
    )


def _curve(
    alike: xr.Dataset, quantity: _Quantity, axis: TrainingAxis, name: str, colour: str, symbol: str
) -> Curve:
    """Means over networks that were trained alike."""
    steps = alike["training_step"].max("seed").values
    known = np.isfinite(steps)
    steps = steps[known].astype(int)
    return over_seeds(
        name,
        axis.at(steps),
        alike[quantity.variable].transpose("stage", "seed")[known],
        colour,
        at=steps_said(steps),
        symbol=symbol,
    )


def _with_one_scale(panels: Sequence[Panel], wide: bool) -> list[Panel]:
    """Panels of one quantity, whose heights can be compared."""
    values = np.concatenate([curve.y for panel in panels for curve in panel.curves])
    positive = values[values > 0]
    log = bool(wide and positive.size and positive.max() > _WIDE * positive.min())
    if log:
        panels = [
            replace(one, curves=[above_zero(curve) for curve in one.curves]) for one in panels
        ]
    limits = limits_of([curve for panel in panels for curve in panel.curves], log, [])
    return [replace(panel, ylim=limits, log_y=log) for panel in panels]


def _colours(values: Sequence[Mapping[str, Any]]) -> list[str]:
    """Shades of an axis of numbers, and otherwise colours that have no order."""
    numbers = all(isinstance(one, int | float) for value in values for one in value.values())
    if numbers or len(values) > len(_DISTINCT):
        return stage_colours(len(values))
    return list(_DISTINCT[: len(values)])


def _said(place: Mapping[str, Any], *, symbols: bool = False) -> str:
    """Name values of choices: numbers with what they are of."""
    named = {
        name: _SYMBOLS_OF_CHOICES.get(name, choice_title(name)) if symbols else choice_title(name)
        for name in place
    }
    return ", ".join(
        value if isinstance(value, str) else f"{named[name]} {'= ' if symbols else ''}{value:g}"
        for name, value in place.items()
    )


def _caption(table: xr.Dataset) -> str:
    attrs = table.attrs
    kept = [attrs[name] for name in _SHARED if name in attrs]
    ended = [
        f"{count} of {table['outcome'].size} {outcome}"
        for outcome in ("diverged", "failed")
        if (count := int((table["outcome"] == outcome).sum()))
    ]
    of_rows, _ = _choices(table)
    all_rows = len(_places(table, of_rows))
    sentences = [
        f"All: {', '.join(kept)}." if kept else "",
        "Panels of one column have the same scale." if all_rows > 1 else "",
        said_of_seeds(table),
        f"Networks: {', '.join(ended)}; they are left out from there on." if ended else "",
        f"The first {MOST_ROWS} of {all_rows} combinations." if all_rows > MOST_ROWS else "",
    ]
    return " ".join(filter(None, sentences))
