"""The random model's probabilities in the simplex of three classes, for rising σ_z."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib import rc_context
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.style import FULL_WIDTH, INK, MUTED, PAPER, RULE, TEMPLATE, stage_colours
from landscope.figures.ternary import cartesian, draw_triangle

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
    picture = go.Figure()
    for place, (spread, colour) in enumerate(
        zip(spreads, stage_colours(len(spreads)), strict=True)
    ):
        a, b, c = drawn["probability"].sel(spread=spread).values.T
        marker = {"color": colour, "size": 8, "opacity": 0.7, "line": {"color": INK, "width": 0.3}}
        picture.add_trace(
            go.Scatterternary(
                a=a,
                b=b,
                c=c,
                mode="markers",
                marker=marker,
                cliponaxis=False,
                showlegend=False,
                name=_label(drawn, spread),
                visible=place == len(spreads) - 1,
            )
        )
    axis = {"linecolor": MUTED, "gridcolor": RULE, "tickvals": [0.25, 0.5, 0.75], "ticklen": 4}
    names = zip(("aaxis", "baxis", "caxis"), _CORNERS, strict=True)
    corners = {name: {"title": {"text": f"p of {corner}"}, **axis} for name, corner in names}
    picture.update_layout(template=TEMPLATE, height=560, ternary={"bgcolor": "white", **corners})
    labels = [_plain(drawn, spread) for spread in spreads]
    plotly_panels.add_slider(picture, labels, list(range(len(spreads))))
    return picture


def _entropy(drawn: xr.Dataset, spread: float) -> float:
    return float(np.asarray(drawn["mean_entropy"].sel(spread=spread)))


def _label(drawn: xr.Dataset, spread: float) -> str:
    return f"σ<sub>z</sub> = {spread:g}, S = {_entropy(drawn, spread):.2f}"


def _plain(drawn: xr.Dataset, spread: float) -> str:
    return f"σz = {spread:g}, S = {_entropy(drawn, spread):.2f}"
