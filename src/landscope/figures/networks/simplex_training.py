"""Probabilities of a network of three classes in the simplex, along its training."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from scipy.ndimage import gaussian_filter

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.style import CLASS_COLOURS, CLASS_MARKERS, FULL_WIDTH, INK, PAPER
from landscope.figures.ternary import (
    CLASS_SYMBOLS,
    cartesian,
    draw_triangle,
    lay_out_triangle,
    points_in_triangle,
)

TITLE = "Simplex: probabilities of a trained network move to the corners"
HOW_TO_READ = (
    "Each point is one example, placed by its three class probabilities and coloured by its true "
    "class, on grey that is darker where more examples lie; the last picture follows a few "
    "examples through the whole of training, from a ring to a full mark."
)
EXPECTED = (
    "Fig. 3a (a SmallCNN on a 3-class subset of CIFAR-10, early, middle and late in training): "
    "probabilities move from the centre to the corners, and their entropy falls."
)
DEFINITIONS = (
    ("p<sub>k</sub> = exp z<sub>k</sub> / Σ<sub>l</sub> exp z<sub>l</sub>", "class probability"),
    ("S = −Σ<sub>k</sub> p<sub>k</sub> ln p<sub>k</sub>", "entropy, mean over examples, in nats"),
)

_CELLS = 120
_BLUR = 4.0


def figure(measured: xr.Dataset) -> Figure:
    """Draw three moments with densities, and the paths of the tracked examples.

    Parameters
    ----------
    measured
        What `landscope.experiments.networks.simplex.compute` returns.
    """
    names = measured["class_name"].values.tolist()
    with rc_context(PAPER | {"axes.grid": False}):
        picture = Figure(figsize=(FULL_WIDTH, 2.35), layout="constrained")
        *triangles, last = picture.subplots(1, 4)
        for axes, step in zip(triangles, np.ravel(measured.attrs["shown_steps"]), strict=True):
            at = measured.sel(training_step=step)
            draw_triangle(axes, names)
            axes.set_title(f"Step {int(step):,}, S = {float(at['entropy']):.2f}", loc="center")
            _draw_density(axes, at["probability"].values)
            _draw_points(axes, at)
        draw_triangle(last, names)
        last.set_title("Tracked examples", loc="center")
        _draw_paths(last, measured)
        handles = picture.axes[0].get_legend_handles_labels()
        picture.legend(*handles, loc="outside upper left", ncols=3)
        static.write_caption(picture, _caption(measured))
        static.settle(picture)
    return picture


def _draw_density(axes: Axes, probability: np.ndarray) -> None:
    """Shade the triangle by how many examples lie there, on a scale of square roots."""
    extent = (-0.05, 1.05, -0.05, 0.92)
    x, y = cartesian(probability)
    counts, _, _ = np.histogram2d(
        y, x, bins=_CELLS, range=[[extent[2], extent[3]], [extent[0], extent[1]]]
    )
    shade = axes.imshow(
        np.sqrt(gaussian_filter(counts, _BLUR)),
        extent=extent,
        origin="lower",
        cmap="Greys",
        alpha=0.55,
        interpolation="bilinear",
        zorder=-1,
    )
    inside = Polygon(np.stack(cartesian(np.eye(3)), axis=1), transform=axes.transData)
    shade.set_clip_path(inside)


def _draw_points(axes: Axes, at: xr.Dataset) -> None:
    target = at["target"].values
    for k, name in enumerate(at["class_name"].values.tolist()):
        points = cartesian(at["probability"].values[target == k])
        axes.scatter(
            *points,
            7,
            CLASS_COLOURS[k],
            marker=CLASS_MARKERS[k],
            alpha=0.5,
            lw=0,
            label=f"true: {name}",
        )


def _draw_paths(axes: Axes, measured: xr.Dataset) -> None:
    target = measured["target"].values
    for example in np.ravel(measured.attrs["tracked"]):
        k = int(target[example])
        x, y = cartesian(measured["probability"].isel(example=example).values)
        axes.plot(x, y, color=CLASS_COLOURS[k], lw=0.9, alpha=0.85)
        axes.plot(x[0], y[0], CLASS_MARKERS[k], color=CLASS_COLOURS[k], mfc="white", ms=3.5)
        axes.plot(x[-1], y[-1], CLASS_MARKERS[k], color=CLASS_COLOURS[k], mec=INK, mew=0.5, ms=5)


def interactive(measured: xr.Dataset) -> go.Figure:
    """Draw the simplex with a slider over all measured steps, tracked paths up to each."""
    steps = measured["training_step"].values
    names = measured["class_name"].values.tolist()
    target = measured["target"].values
    probability = measured["probability"].transpose("training_step", "example", "logit").values
    entropy = measured["entropy"].values
    staged = []
    for place, step in enumerate(steps):
        points = [
            points_in_triangle(
                probability[place, target == k],
                name=f"true: {name}",
                mode="markers",
                marker={
                    "color": CLASS_COLOURS[k],
                    "symbol": CLASS_SYMBOLS[k],
                    "size": 7,
                    "opacity": 0.5,
                },
            )
            for k, name in enumerate(names)
        ]
        paths = [
            points_in_triangle(
                probability[: place + 1, example],
                mode="lines",
                line={"color": CLASS_COLOURS[int(target[example])], "width": 1.5},
                hoverinfo="skip",
                showlegend=False,
            )
            for example in np.ravel(measured.attrs["tracked"])
        ]
        staged.append((f"step {int(step):,}, S = {entropy[place]:.2f}", points + paths))
    picture = go.Figure()
    lay_out_triangle(picture, [f"p of {name}" for name in names])
    plotly_panels.add_stages(picture, staged)
    plotly_panels.write_caption(picture, _caption(measured))
    return picture


def _caption(measured: xr.Dataset) -> str:
    accuracy = float(measured["test_accuracy"].isel(training_step=-1))
    return (
        f"One network ({measured.attrs['network_title']}) on three classes of "
        f"{measured.attrs['data_title']}, {measured.sizes['example']} training examples; test "
        f"accuracy {accuracy:.2f} at the end."
    )
