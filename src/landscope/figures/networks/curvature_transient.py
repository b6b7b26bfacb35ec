"""The largest eigenvalue along training, at several learning rates."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.networks.over_seeds import (
    above_zero,
    limits_around,
    over_seeds,
    said_of_seeds,
    steps_said,
)
from landscope.figures.panel import Curve, Panel
from landscope.figures.stages import training_axis
from landscope.figures.style import SYMBOLS, stage_colours

TITLE = "Transient: whether the largest eigenvalue rises, then falls"
HOW_TO_READ = (
    "On the left the largest eigenvalue of the Hessian along training, a colour for each learning "
    "rate η with a dashed line at its limit of stability 2/η; on the right the loss on the same "
    "training examples."
)
EXPECTED = (
    "The abstract: gradient descent passes through regions of higher curvature before it finds "
    "flatter minima. The paper says nothing of 2/η: beyond it full-batch gradient descent on a "
    "quadratic grows, and sharpness was seen to settle about there (Cohen et al. 2021, "
    "arXiv:2103.00065); mini-batches are expected to stay below it."
)
DEFINITIONS = (
    ("λ<sub>max</sub>(H)", "largest eigenvalue of the Hessian, in loss/weight²"),
    ("2/η", "limit of stability of gradient descent without momentum"),
)


def figure(measured: xr.Dataset) -> Figure:
    """Draw λ_max beside the loss.

    Parameters
    ----------
    measured
        What `landscope.experiments.networks.properties.compute` returns.
    """
    return static.draw([_panels(measured)], caption=_caption(measured), row_height=2.8)


def interactive(measured: xr.Dataset) -> go.Figure:
    """Draw λ_max beside the loss."""
    return plotly_panels.draw([("", _panels(measured))], columns=2, caption=_caption(measured))


def _panels(measured: xr.Dataset) -> list[Panel]:
    steps = measured["rate_step"].values
    axis = training_axis(steps)
    rates = measured["learning_rate"].values.tolist()
    panels = []
    for title, ylabel, variable in (
        ("Largest eigenvalue", "λ<sub>max</sub>(H) (loss/weight²)", "lambda_max"),
        ("Loss", "loss (nats)", "rate_loss"),
    ):
        curves = []
        for rate, colour, symbol in zip(rates, stage_colours(len(rates)), SYMBOLS, strict=False):
            values = measured[variable].sel(learning_rate=rate)
            curve = over_seeds(
                f"η = {rate:g}",
                axis.positions,
                values,
                colour,
                at=steps_said(steps),
                symbol=symbol,
            )
            if variable == "lambda_max":
                limit = float(measured["stability_limit"].sel(learning_rate=rate))
                level = np.full(len(axis.positions), limit)
                said = [f"stable below {limit:.4g}"] * len(level)
                curves.append(Curve("2/η", axis.positions, level, colour, dashed=True, hover=said))
                curve = above_zero(curve)
            curves.append(curve)
        panels.append(
            Panel(
                title,
                "training step",
                ylabel,
                curves,
                log_y=variable == "lambda_max",
                ylim=limits_around(*(curve.y for curve in curves))
                if variable == "lambda_max"
                else None,
                xticks=(axis.ticks, axis.tick_labels),
            )
        )
    return panels


def _caption(measured: xr.Dataset) -> str:
    ended = (
        " Networks that diverged are left out from there on." if measured.attrs["diverged"] else ""
    )
    return (
        f"{measured.attrs['network_title']} on {measured.attrs['data_title']}, SGD without "
        f"momentum. {said_of_seeds(measured)}{ended}"
    )
