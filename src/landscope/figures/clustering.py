"""Clustering of logit gradients: three mean cosines at each stage."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.panel import Curve, Level, Panel
from landscope.figures.stages import Stage, as_trajectory, stages
from landscope.figures.style import BLUE, GREEN, SKY_BLUE, VERMILLION

TITLE = "Clustering: mean cosines of logit gradients"
HOW_TO_READ = (
    "The bars are mean cosines between gradients of logits at pairs of different examples: same "
    "logit and same class (green), same logit (red), different logits (blue); the pale blue bar "
    "is the mean size of the last, which cannot cancel between pairs of logits."
)
EXPECTED = (
    "Fig. 1: q<sub>SLSC</sub> ≥ q<sub>SL</sub> ≫ |q<sub>DL</sub>| ≈ 0 for every data set, "
    "architecture, nonlinearity and stage of training. The paper does not say how large "
    "q<sub>SL</sub> must be; its model has q<sub>SL</sub> ≈ σ<sub>c</sub>²/(σ<sub>c</sub>² + "
    "σ<sub>E</sub>²)."
)
DEFINITIONS = (
    (
        "q<sub>SLSC</sub> = mean<sub>k</sub> mean<sub>μ≠ν in class k</sub> cos(J<sub>k</sub><sup>μ"
        "</sup>, J<sub>k</sub><sup>ν</sup>)",
        "same logit, both examples of that class",
    ),
    (
        "q<sub>SL</sub> = mean<sub>k</sub> mean<sub>μ≠ν</sub> cos(J<sub>k</sub><sup>μ</sup>, "
        "J<sub>k</sub><sup>ν</sup>)",
        "same logit, any two examples",
    ),
    (
        "q<sub>DL</sub> = mean<sub>k≠l</sub> mean<sub>μ≠ν</sub> cos(J<sub>k</sub><sup>μ</sup>, "
        "J<sub>l</sub><sup>ν</sup>)",
        "different logits; |q<sub>DL</sub>| takes the size of each pair (k, l) before the mean",
    ),
)
REQUIRES = ("q_slsc", "q_sl", "q_dl")

BARS = (
    ("q_slsc", "q<sub>SLSC</sub>", GREEN),
    ("q_sl", "q<sub>SL</sub>", VERMILLION),
    ("q_dl", "q<sub>DL</sub>", BLUE),
    ("q_dl_abs", "mean |q<sub>kl</sub>|", SKY_BLUE),
)


def figure(trajectory: xr.Dataset) -> Figure:
    """Draw the bars at up to eight stages.

    Parameters
    ----------
    trajectory
        Measurements along the dimension `step`, or a single snapshot.

    Returns
    -------
    matplotlib.figure.Figure
    """
    trajectory = as_trajectory(trajectory, REQUIRES)
    return static.draw([[_panel(stages(trajectory, at_most=8))]], row_height=2.4)


def interactive(trajectory: xr.Dataset) -> go.Figure:
    """Draw the bars at up to twelve stages."""
    trajectory = as_trajectory(trajectory, REQUIRES)
    return plotly_panels.draw([("", [_panel(stages(trajectory, at_most=12))])], columns=1)


def _panel(shown: list[Stage]) -> Panel:
    places = np.arange(len(shown))
    curves = []
    for variable, name, colour in BARS:
        values = np.array([stage.number(variable) for stage in shown])
        hover = [f"{stage.label}: {value:.4f}" for stage, value in zip(shown, values, strict=True)]
        curves.append(Curve(name, places, values, colour, kind="bars", hover=hover))
    return Panel(
        title="",
        xlabel="stage of training",
        ylabel="mean cosine",
        curves=curves,
        levels=[Level(0, "")],
        xticks=(places.tolist(), [stage.label for stage in shown]),
    )
