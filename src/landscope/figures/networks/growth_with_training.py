"""Logit variance, logit-gradient length and weight norm along training, and along the radius."""

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
from landscope.figures.panel import Level, Panel
from landscope.figures.stages import training_axis
from landscope.figures.style import BLUE, GREEN, PURPLE, VERMILLION

TITLE = "Growth: logits, their gradients and the weights"
HOW_TO_READ = (
    "The first three panels follow one quantity each along training, on an axis that is linear "
    "before the first measured step and logarithmic after it; the last leaves training out and "
    "scales the initial weights, whose own norm is the radius 1."
)
EXPECTED = (
    "Fig. 4: logit variance, logit-gradient length and weight norm grow with training time, and "
    "logit variance with the weight radius at initialisation (a SmallCNN on CIFAR-10)."
)
DEFINITIONS = (
    (
        "σ<sub>z</sub>² = (1/N) Σ<sub>μ</sub> var<sub>k</sub> z<sub>k</sub><sup>μ</sup>",
        "logit variance over classes, with 1/(C − 1), averaged over examples",
    ),
    ("‖J<sub>k</sub><sup>μ</sup>‖", "length of a logit gradient, mean over logits and examples"),
    ("r = ‖W‖/‖W<sub>0</sub>‖", "radius, W = rW<sub>0</sub>"),
)


def figure(measured: xr.Dataset) -> Figure:
    """Draw the four panels of the paper.

    Parameters
    ----------
    measured
        What `landscope.experiments.networks.growth.compute` returns.
    """
    panels = _panels(measured)
    return static.draw([panels[:2], panels[2:]], caption=_caption(measured))


def interactive(measured: xr.Dataset) -> go.Figure:
    """Draw the four panels of the paper."""
    return plotly_panels.draw([("", _panels(measured))], columns=2, caption=_caption(measured))


def _panels(measured: xr.Dataset) -> list[Panel]:
    steps = measured["training_step"].values
    axis = training_axis(steps)
    along = [
        Panel(
            title,
            "training step",
            ylabel,
            [over_seeds(ylabel, axis.positions, values, colour, at=steps_said(steps))],
            xticks=(axis.ticks, axis.tick_labels),
        )
        for title, ylabel, values, colour in (
            ("Logit variance", "σ<sub>z</sub>²", measured["sigma_z"] ** 2, BLUE),
            (
                "Logit-gradient length",
                "mean ‖J<sub>k</sub>‖ (logit/weight)",
                measured["logit_gradient_norm"],
                VERMILLION,
            ),
            ("Weight norm", "‖W‖", measured["weight_norm"], GREEN),
        )
    ]
    radial = over_seeds(
        "σ<sub>z</sub>²", measured["radius"].values, measured["radius_sigma_z"] ** 2, PURPLE
    )
    outwards = Panel(
        "Logit variance without training",
        "radius r",
        "σ<sub>z</sub>²",
        [above_zero(radial)],
        levels=[Level(1.0, "initialisation", upright=True)],
        log_x=True,
        log_y=True,
        ylim=limits_around(radial.y),
    )
    return [*along, outwards]


def _caption(measured: xr.Dataset) -> str:
    return (
        f"{measured.attrs['network_title']} on {measured.attrs['data_title']}, without weight "
        f"decay. {said_of_seeds(measured)}"
    )
