"""The number of detached outliers over planes of the model's parameters."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib import rc_context
from matplotlib.figure import Figure
from plotly.subplots import make_subplots

from landscope.figures import static
from landscope.figures.style import FULL_WIDTH, INK, PAPER, TEMPLATE

TITLE = "Phases: how many outliers leave the bulk"
HOW_TO_READ = (
    "Colour is the mean number of outliers that theory detaches from the bulk, from none (dark) to "
    "C − 1 (light); circles are draws, coloured and labelled by the number counted in them."
)
EXPECTED = (
    "The abstract connects the landscape to BBP phase transitions, which the captions do not draw. "
    "The centroids must outweigh what residuals of N examples in D dimensions make by chance: "
    "outliers leave one by one in a narrow band, and there are never more than C − 1. For D ≫ NC "
    "the bulk is a comb of single teeth, and the smallest centroid lifts the last tooth above its "
    "own edge: the one outlier below right is no more than that."
)
DEFINITIONS = (
    (
        "drawn",
        "eigenvalues beyond λ<sub>+</sub> + 2s, s the scale on which the edge fluctuates: in the "
        "band fewer than theory detaches",
    ),
    ("ν<sub>j</sub>(λ<sub>+</sub>) > 1", "outlier j has left the bulk of right edge λ<sub>+</sub>"),
    (
        "ν<sub>j</sub>",
        "eigenvalue of −g K<sup>½</sup> B K<sup>½</sup>, K the Gram of the centroids",
    ),
)

_AXES = {"num_examples": "examples N", "num_params": "parameters D"}
_COLOURS = "viridis"


def figure(drawn: xr.Dataset) -> Figure:
    """Draw both planes side by side."""
    most = drawn.attrs["num_classes"] - 1
    with rc_context(PAPER | {"axes.grid": False}):
        picture = Figure(figsize=(FULL_WIDTH, 3.3), layout="constrained")
        for one, (axis, label) in zip(
            picture.subplots(1, 2, sharey=True), _AXES.items(), strict=True
        ):
            field = drawn[f"detached_{axis}"].transpose("ratio", f"fine_{axis}")
            scale: dict[str, Any] = {"cmap": _COLOURS, "vmin": 0, "vmax": most}
            image = one.pcolormesh(
                drawn[f"fine_{axis}"],
                drawn["ratio"],
                field,
                shading="nearest",
                rasterized=True,
                **scale,
            )
            x, y, counts = _draws(drawn, axis)
            one.set(xscale="log", yscale="log", xlabel=label, title=_title(drawn, axis))
            one.minorticks_off()
            one.scatter(
                x, y, 70, counts, edgecolor="white", lw=0.8, clip_on=False, zorder=3, **scale
            )
            for place in zip(x, y, counts, strict=True):
                dark = place[2] < 0.6 * most
                one.annotate(
                    f"{place[2]:.0f}",
                    place[:2],
                    ha="center",
                    va="center",
                    fontsize=5.5,
                    color="white" if dark else INK,
                    zorder=4,
                )
        picture.axes[0].set_ylabel(static.mathtext("σ<sub>c</sub>/σ<sub>E</sub>"))
        picture.axes[0].set_yticks(
            [0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"]
        )
        picture.colorbar(image, ax=picture.axes, label="detached outliers", ticks=range(most + 1))
        static.settle(picture)
    return picture


def interactive(drawn: xr.Dataset) -> go.Figure:
    """Draw both planes side by side."""
    most = drawn.attrs["num_classes"] - 1
    titles = [f"<b>{_title(drawn, axis)}</b>" for axis in _AXES]
    picture = make_subplots(rows=1, cols=2, subplot_titles=titles, horizontal_spacing=0.12)
    for column, (axis, label) in enumerate(_AXES.items(), start=1):
        field = drawn[f"detached_{axis}"].transpose("ratio", f"fine_{axis}").values
        x, y, counts = _draws(drawn, axis)
        scale: dict[str, Any] = {"coloraxis": "coloraxis"}
        picture.add_trace(
            go.Heatmap(
                x=drawn[f"fine_{axis}"].values,
                y=drawn["ratio"].values,
                z=field,
                hovertemplate="%{x:,.0f}, ratio %{y:.3g}: %{z:.2g}<extra>theory</extra>",
                **scale,
            ),
            1,
            column,
        )
        picture.add_trace(
            go.Scatter(
                x=x,
                y=y,
                mode="markers+text",
                text=[f"{count:.0f}" for count in counts],
                textfont={"size": 9, "color": ["white" if n < 0.6 * most else INK for n in counts]},
                marker={
                    "color": counts,
                    "size": 17,
                    "line": {"color": "white", "width": 1},
                    **scale,
                },
                cliponaxis=False,
                showlegend=False,
                hovertemplate="%{x:,.0f}, ratio %{y:.3g}: %{text}<extra>drawn</extra>",
            ),
            1,
            column,
        )
        logarithmic: dict[str, Any] = {"type": "log", "exponentformat": "power"}
        picture.update_xaxes(title={"text": label}, dtick=1, **logarithmic, row=1, col=column)
        picture.update_yaxes(
            title={"text": "σ<sub>c</sub>/σ<sub>E</sub>" if column == 1 else ""},
            tickvals=[0.02, 0.05, 0.1, 0.2, 0.5],
            **logarithmic,
            row=1,
            col=column,
        )
    bar = {"title": {"text": "outliers"}, "dtick": 1}
    picture.update_layout(
        template=TEMPLATE,
        height=480,
        coloraxis={"colorscale": _COLOURS, "cmin": 0, "cmax": most, "colorbar": bar},
    )
    return picture


def _title(drawn: xr.Dataset, axis: str) -> str:
    other = "num_params" if axis == "num_examples" else "num_examples"
    symbol = {"num_params": "D", "num_examples": "N"}[other]
    return f"{symbol} = {drawn.attrs[other]:,.0f}"


def _draws(drawn: xr.Dataset, axis: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    counts = drawn[f"drawn_{axis}"].transpose(f"sampled_{axis}", "sampled_ratio")
    x, y = np.meshgrid(drawn[f"sampled_{axis}"], drawn["sampled_ratio"], indexing="ij")
    return x.ravel(), y.ravel(), counts.values.ravel()
