"""The landscape along the weight radius, before and after training, beside training itself."""

from dataclasses import replace

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
from landscope.figures.panel import Level, Panel
from landscope.figures.stages import training_axis
from landscope.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    OPERATOR_COLOURS,
    PURPLE,
    SKY_BLUE,
    VERMILLION,
)

TITLE = "Weight scale: the landscape along the radius, beside training"
HOW_TO_READ = (
    "A column for each way through weight space: out along the radius from the initial weights, "
    "out along it from the trained ones, and along training; a row for each quantity, on the same "
    "axis in all three, so that what changes alike looks alike."
)
EXPECTED = (
    "The abstract explains all four properties over training time and weight scale: spread and "
    "freezing, the number of outliers, the rise and fall of the largest eigenvalue and the "
    "gradient's place in the top space should run along the radius as they do along training."
)
DEFINITIONS = (
    ("r = ‖W‖/‖W<sub>0</sub>‖", "radius: all weights and biases times r"),
    ("S", "mean entropy of the class probabilities, in nats"),
    ("σ<sub>c</sub>", "length of the mean gradient of a logit, without the part that is noise"),
    (
        "random model",
        "(1 − E[Y])/(C − 1), Y = Σ<sub>k</sub> p<sub>k</sub>²: the mean of the C − 1 largest "
        "eigenvalues of G over σ<sub>c</sub>², to leading order",
    ),
)

_MARKS = (0.25, 0.5, 1.0, 2.0, 4.0)

_H, _G = OPERATOR_COLOURS["hessian"], OPERATOR_COLOURS["gauss_newton"]
_ROWS: tuple[tuple[str, tuple[tuple[str, str, str, str], ...], bool], ...] = (
    ("logit spread σ<sub>z</sub>", (("sigma_z", "σ<sub>z</sub>", BLUE, "circle"),), True),
    ("entropy S (nats)", (("entropy", "S (nats)", PURPLE, "circle"),), False),
    (
        "λ<sub>max</sub> (loss/weight²)",
        (
            ("lambda_max", "H", _H, "circle"),
            ("gauss_newton_lambda_max", "G", _G, "diamond-open"),
        ),
        True,
    ),
    (
        "λ(G)/σ<sub>c</sub>²",
        (
            ("relative_lambda_max", "largest", SKY_BLUE, "triangle-up"),
            ("relative_mean_outlier", "mean of C − 1", BLACK, "x"),
            ("expected_mean_outlier", "random model", PURPLE, "diamond-open"),
        ),
        True,
    ),
    (
        "outliers",
        (
            ("num_outliers", "H", _H, "circle"),
            ("gauss_newton_num_outliers", "G", _G, "diamond-open"),
        ),
        False,
    ),
    ("‖g‖² in top C of H", (("top_power", "share", BLACK, "circle"),), False),
    (
        "mean cosine",
        (
            ("q_slsc", "q<sub>SLSC</sub>", GREEN, "circle"),
            ("q_sl", "q<sub>SL</sub>", VERMILLION, "diamond-open"),
            ("q_dl", "q<sub>DL</sub>", BLUE, "square"),
        ),
        False,
    ),
)


def figure(measured: xr.Dataset) -> Figure:
    """Draw a row for each quantity and a column for each way.

    Parameters
    ----------
    measured
        What `landscope.experiments.networks.weight_scale.compute` returns.
    """
    return static.draw(_grid(measured), caption=_caption(measured), row_height=1.35)


def interactive(measured: xr.Dataset) -> go.Figure:
    """Draw a row for each quantity and a column for each way."""
    panels = [panel for row in _grid(measured) for panel in row]
    return plotly_panels.draw([("", panels)], columns=3, caption=_caption(measured), row_height=260)


def _grid(measured: xr.Dataset) -> list[list[Panel]]:
    rows = [_row(measured, *row) for row in _ROWS]
    # All rows share their columns, which are named above the first and below the last.
    return [
        [
            replace(
                panel,
                title=panel.title if row is rows[0] else "",
                xlabel=panel.xlabel if row is rows[-1] else "",
            )
            for panel in row
        ]
        for row in rows
    ]


def _row(
    measured: xr.Dataset, ylabel: str, quantities: tuple[tuple[str, str, str, str], ...], log: bool
) -> list[Panel]:
    steps = measured["training_step"].values
    axis = training_axis(steps)
    radii = measured["radius"].values
    ways = {
        f"Radius, {point}": [
            over_seeds(name, radii, measured[variable].sel(point=point), colour, symbol=symbol)
            for variable, name, colour, symbol in quantities
        ]
        for point in measured["point"].values.tolist()
    } | {
        "Training": [
            over_seeds(
                name,
                axis.positions,
                measured[f"training_{variable}"],
                colour,
                at=steps_said(steps),
                symbol=symbol,
            )
            for variable, name, colour, symbol in quantities
        ]
    }
    if log:
        ways = {title: [above_zero(curve) for curve in curves] for title, curves in ways.items()}
    outliers = [Level(measured.attrs["num_classes"] - 1, "")] if ylabel == "outliers" else []
    limits = limits_of(
        [curve for curves in ways.values() for curve in curves],
        log,
        [level.value for level in outliers],
    )
    return [
        Panel(
            title,
            "training step" if title == "Training" else "radius r",
            ylabel,
            curves,
            levels=[*outliers, *([] if title == "Training" else [Level(1.0, "", upright=True)])],
            log_x=title != "Training",
            log_y=log,
            ylim=limits,
            xticks=(axis.ticks, axis.tick_labels)
            if title == "Training"
            else (_MARKS, [f"{mark:g}" for mark in _MARKS]),
        )
        for title, curves in ways.items()
    ]


def _caption(measured: xr.Dataset) -> str:
    return (
        f"{measured.attrs['network_title']} on {measured.attrs['data_title']}. Dotted: the point "
        f"itself, r = 1; C − 1 outliers. {said_of_seeds(measured)}"
    )
