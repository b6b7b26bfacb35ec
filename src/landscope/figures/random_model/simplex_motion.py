"""The random model's probabilities in the simplex of three classes, for rising σ_z."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib import rc_context
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.style import FULL_WIDTH, INK, PAPER, stage_colours
from landscope.figures.ternary import (
    cartesian,
    draw_triangle,
    lay_out_triangle,
    points_in_triangle,
)

TITLE = "Simplex: probabilities move to the corners"
HOW_TO_READ = (
    "Each point is one example, placed by its three class probabilities: in the centre where they "
    "are equal, in a corner where one class has all; from picture to picture the logits keep their "
    "direction and σ<sub>z</sub> grows."
)
EXPECTED = (
    "Fig. 3b: as the spread of the logits grows, probabilities move from the centre to the corners "
    "and their entropy falls."
)
DEFINITIONS = (
    ("z<sub>k</sub> = σ<sub>z</sub>ξ<sub>k</sub>", "logits, ξ<sub>k</sub> independent and normal"),
    ("p = softmax(z)", "class probabilities"),
    ("S = −Σ<sub>k</sub> p<sub>k</sub> ln p<sub>k</sub>", "entropy, mean over the points, in nats"),
)

_CORNERS = ("class 1", "class 2", "class 3")


def figure(drawn: xr.Dataset) -> Figure:
    """Draw one triangle for each σ_z."""
    spreads = drawn["spread"].values
    with rc_context(PAPER | {"axes.grid": False}):
        picture = Figure(figsize=(FULL_WIDTH, 4.5), layout="constrained")
        axes = picture.subplots(2, -(-len(spreads) // 2)).ravel()
        for one, spread, colour in zip(axes, spreads, stage_colours(len(spreads)), strict=False):
            draw_triangle(one, _CORNERS)
            one.set_title(static.mathtext(_label(drawn, spread)), loc="center")
            points = drawn["probability"].sel(spread=spread).values
            one.scatter(*cartesian(points), 8, colour, alpha=0.6, lw=0)
        for one in axes[len(spreads) :]:
            one.remove()
        static.settle(picture)
    return picture


def interactive(drawn: xr.Dataset) -> go.Figure:
    """Draw one triangle with a slider over σ_z."""
    spreads = drawn["spread"].values
    staged = []
    for spread, colour in zip(spreads, stage_colours(len(spreads)), strict=True):
        points = points_in_triangle(
            drawn["probability"].sel(spread=spread).values,
            mode="markers",
            marker={
                "color": colour,
                "size": 8,
                "opacity": 0.7,
                "line": {"color": INK, "width": 0.3},
            },
            showlegend=False,
            name=_label(drawn, spread),
        )
        staged.append((_plain(drawn, spread), [points]))
    picture = go.Figure()
    lay_out_triangle(picture, [f"p of {corner}" for corner in _CORNERS], height=560)
    plotly_panels.add_stages(picture, staged)
    return picture


def _entropy(drawn: xr.Dataset, spread: float) -> float:
    return float(np.asarray(drawn["mean_entropy"].sel(spread=spread)))


def _label(drawn: xr.Dataset, spread: float) -> str:
    return f"σ<sub>z</sub> = {spread:g}, S = {_entropy(drawn, spread):.2f}"


def _plain(drawn: xr.Dataset, spread: float) -> str:
    return f"σz = {spread:g}, S = {_entropy(drawn, spread):.2f}"
