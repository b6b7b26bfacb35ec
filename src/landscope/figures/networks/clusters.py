"""Measured logit gradients in the space that their three centroids span."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.style import (
    CLASS_COLOURS,
    CLASS_MARKERS,
    FULL_WIDTH,
    INK,
    PAPER,
    RULE,
    TEMPLATE,
)

TITLE = "Clusters: logit gradients around their centroids"
HOW_TO_READ = (
    "Each point is the gradient of one logit at one example, projected on the space of the three "
    "centroids, which the flat pictures look at along (1, 1, 1) and the interactive one shows "
    "whole: colour tells the logit, dark edges the examples whose true class it is, arrows the "
    "centroids, ellipses one standard deviation of these (full) and of all others (dashed)."
)
EXPECTED = (
    "Fig. 2 is a diagram of this, not data: the gradients of a logit cluster together, those at "
    "examples of its own class more tightly, and the clusters are nearly orthogonal."
)
DEFINITIONS = (
    (
        "Q = C(C<sup>T</sup>C)<sup>−½</sup>",
        "axes: the symmetric orthonormalisation of the centroids c<sub>k</sub>",
    ),
    (
        "Q<sup>T</sup>J<sub>k</sub><sup>μ</sup>/J<sub>rms</sub>",
        "coordinates, in units of the root mean square length of all logit gradients",
    ),
)

_SYMBOLS = ("circle", "square", "diamond")

# Along (1, 1, 1): the axes lie at 90°, 210° and 330°.
_ANGLES = np.deg2rad([90.0, 210.0, 330.0])
_FLAT = np.sqrt(2 / 3) * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def figure(measured: xr.Dataset) -> Figure:
    """Draw the clusters at each stage, seen along (1, 1, 1).

    Parameters
    ----------
    measured
        What `landscope.experiments.networks.clusters.compute` returns.
    """
    stages = measured["stage"].values.tolist()
    reach = 1.08 * max(
        float(np.nanmax(np.abs(measured["coordinate"].values @ _FLAT))),
        float(np.abs(measured["centroid"].values @ _FLAT).max()),
    )
    with rc_context(PAPER | {"axes.grid": False}):
        picture = Figure(figsize=(FULL_WIDTH, 2.3), layout="constrained")
        for axes, stage in zip(picture.subplots(1, len(stages)), stages, strict=True):
            at = measured.sel(stage=stage)
            _draw_flat(axes, at, reach)
            axes.set_title(f"{stage.capitalize()}, step {int(at['stage_step']):,}", loc="center")
        handles = picture.axes[0].get_legend_handles_labels()
        picture.legend(*handles, loc="outside upper left", ncols=6)
        static.write_caption(picture, _caption(measured))
        static.settle(picture)
    return picture


def _draw_flat(axes: Axes, at: xr.Dataset, reach: float) -> None:
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    for way in _FLAT:
        axes.plot(*np.stack([[0, 0], 2 * reach * way], axis=1), color=RULE, lw=0.7, zorder=0)
    for logit, name in enumerate(at["class_name"].values.tolist()):
        points = at["coordinate"].isel(logit=logit).values @ _FLAT
        own = at["target"].values == logit
        style: dict[str, Any] = {"marker": CLASS_MARKERS[logit], "facecolor": CLASS_COLOURS[logit]}
        axes.scatter(points[~own, 0], points[~own, 1], 6, alpha=0.25, lw=0, **style, zorder=1)
        label = f"logit of {name}"
        axes.scatter(
            points[own, 0],
            points[own, 1],
            9,
            alpha=0.8,
            edgecolor=INK,
            lw=0.4,
            **style,
            label=label,
        )
        for where, dash in ((own, "-"), (~own, "--")):
            _draw_spread(axes, points[where], CLASS_COLOURS[logit], dash)
        tip = at["centroid"].isel(logit=logit).values @ _FLAT
        axes.annotate(
            "",
            tip,
            (0, 0),
            arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.0, "shrinkA": 0, "shrinkB": 0},
            zorder=5,
        )


def _draw_spread(axes: Axes, points: np.ndarray, colour: str, dash: str) -> None:
    """An ellipse of one standard deviation around the mean of the points."""
    if len(points) < 3:
        return
    variances, directions = np.linalg.eigh(np.cov(points.T))
    width, height = 2 * np.sqrt(np.maximum(variances, 0))
    angle = np.rad2deg(np.arctan2(directions[1, 0], directions[0, 0]))
    axes.add_patch(
        Ellipse(
            points.mean(0), width, height, angle=angle, fill=False, ec=colour, ls=dash, zorder=4
        )
    )


def interactive(measured: xr.Dataset) -> go.Figure:
    """Draw the clusters in three dimensions, with a slider over the stages."""
    stages = measured["stage"].values.tolist()
    labels = [
        f"{stage}, step {int(step):,}"
        for stage, step in zip(stages, measured["stage_step"].values, strict=True)
    ]
    traces = [_traces(measured.sel(stage=stage)) for stage in stages]
    picture = go.Figure()
    names = measured["class_name"].values.tolist()
    axis = {"backgroundcolor": "white", "gridcolor": RULE, "zerolinecolor": INK}
    picture.update_layout(
        template=TEMPLATE,
        height=680,
        scene={
            "aspectmode": "data",
            "camera": {"eye": {"x": 1.5, "y": 1.5, "z": 1.1}},
            **{
                f"{letter}axis": {"title": {"text": f"along c of {name}"}, **axis}
                for letter, name in zip("xyz", names, strict=True)
            },
        },
    )
    plotly_panels.add_stages(picture, list(zip(labels, traces, strict=True)))
    plotly_panels.write_caption(picture, _caption(measured))
    return picture


def _traces(at: xr.Dataset) -> list[go.Scatter3d]:
    traces = []
    for logit, name in enumerate(at["class_name"].values.tolist()):
        points = at["coordinate"].isel(logit=logit).values
        outside = at["outside"].isel(logit=logit).values
        own = at["target"].values == logit
        for where, whose, opacity in ((own, "its class", 0.95), (~own, "other classes", 0.3)):
            edge = {"color": INK, "width": 1 if whose == "its class" else 0}
            traces.append(
                go.Scatter3d(
                    **dict(zip("xyz", points[where].T, strict=True)),
                    name=f"logit of {name}, {whose}",
                    mode="markers",
                    marker={
                        "color": CLASS_COLOURS[logit],
                        "symbol": _SYMBOLS[logit],
                        "size": 4,
                        "opacity": opacity,
                        "line": edge,
                    },
                    hovertext=[f"{share:.0%} of ‖J‖² outside" for share in outside[where]],
                    hoverinfo="text+name",
                )
            )
        tip = at["centroid"].isel(logit=logit).values
        traces.append(
            go.Scatter3d(
                **{letter: [0, end] for letter, end in zip("xyz", tip, strict=True)},
                name=f"centroid of {name}",
                mode="lines+markers",
                line={"color": INK, "width": 6},
                marker={"color": INK, "size": [0, 5]},
                showlegend=False,
            )
        )
    return traces


def _caption(measured: xr.Dataset) -> str:
    outside = measured["outside"].mean(("example", "logit")).values
    shares = ", ".join(f"{share:.0%}" for share in outside)
    return (
        f"One network ({measured.attrs['network_title']}) on three classes of "
        f"{measured.attrs['data_title']}, {measured.sizes['example']} training examples. On "
        f"average {shares} of ‖J‖² lie outside the space shown, stage by stage."
    )
