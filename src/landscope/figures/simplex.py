"""Class probabilities of three classes in the probability simplex."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib import rc_context
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.stages import (
    NotMeasuredError,
    Stage,
    as_trajectory,
    logits_looked_at,
    number_of_classes,
    stages,
)
from landscope.figures.style import CLASS_COLOURS, CLASS_MARKERS, FULL_WIDTH, INK, PAPER
from landscope.figures.ternary import (
    CLASS_SYMBOLS,
    cartesian,
    draw_triangle,
    lay_out_triangle,
    points_in_triangle,
)

TITLE = "Simplex: the probabilities of three classes freeze"
HOW_TO_READ = (
    "Each point is one example: a corner means that the network is certain of that class, the "
    "centre that it cannot tell the three apart; colour and shape give the true class, the large "
    "mark is the mean of its class."
)
EXPECTED = (
    "Fig. 3a (a SmallCNN on a 3-class subset of CIFAR-10): the probabilities start near the "
    "centre and move to the corners as training proceeds, and their entropy falls. The paper "
    "trains on three classes alone; where a network has more, restricting to three and "
    "renormalising is our reading of the picture."
)
DEFINITIONS = (
    ("p<sub>k</sub> = exp z<sub>k</sub> / Σ<sub>l</sub> exp z<sub>l</sub>", "class probability"),
    (
        "p̃<sub>k</sub> = p<sub>k</sub> / (p<sub>a</sub> + p<sub>b</sub> + p<sub>c</sub>)",
        "restricted to the classes a, b, c",
    ),
)
REQUIRES = ("probabilities", "targets")

# Examples drawn of each class at the most.
_EXAMPLES = 100


@dataclass(frozen=True)
class Cloud:
    """The examples of one true class at one stage.

    Attributes
    ----------
    name
        The class in words.
    points
        Probabilities of the three classes, shape (n, 3), each row summing to 1.
    mean
        Their mean over all examples of the class, shape (3,).
    """

    name: str
    points: np.ndarray
    mean: np.ndarray


def figure(trajectory: xr.Dataset) -> Figure:
    """Draw the simplex early, midway and late.

    Parameters
    ----------
    trajectory
        Measurements along the dimension `step`, or a single snapshot.

    Returns
    -------
    matplotlib.figure.Figure
    """
    trajectory = as_trajectory(trajectory, REQUIRES)
    classes = _three_classes(trajectory)
    shown = stages(trajectory, at_most=3)
    with rc_context(PAPER | {"axes.grid": False}):
        picture = Figure(figsize=(FULL_WIDTH, 2.75), layout="constrained")
        for axes, stage in zip(picture.subplots(1, 3), shown, strict=False):
            draw_triangle(axes, [f"class {k}" for k in classes])
            axes.set_title(stage.label, loc="center")
            for cloud, colour, marker in zip(
                clouds(stage, classes), CLASS_COLOURS, CLASS_MARKERS, strict=True
            ):
                axes.scatter(*cartesian(cloud.points), 9, colour, marker=marker, alpha=0.5, lw=0)
                axes.scatter(
                    *cartesian(cloud.mean),
                    46,
                    colour,
                    marker=marker,
                    edgecolor=INK,
                    lw=0.8,
                    zorder=3,
                    label=cloud.name,
                )
        for axes in picture.axes[len(shown) :]:
            axes.remove()
        handles = picture.axes[0].get_legend_handles_labels()
        picture.legend(*handles, loc="outside upper left", ncols=3)
        static.write_caption(picture, _caption(trajectory, classes))
        static.settle(picture)
    return picture


def interactive(trajectory: xr.Dataset) -> go.Figure:
    """Draw the simplex with a slider over the stages, and the way that each class mean took."""
    trajectory = as_trajectory(trajectory, REQUIRES)
    classes = _three_classes(trajectory)
    shown = stages(trajectory)
    by_stage = [clouds(stage, classes) for stage in shown]
    staged = []
    for index, stage in enumerate(shown):
        traces: list[go.Scatterternary] = []
        for which, cloud in enumerate(by_stage[index]):
            way = np.array([earlier[which].mean for earlier in by_stage[: index + 1]])
            traces += _traces(cloud, way, CLASS_COLOURS[which], CLASS_SYMBOLS[which])
        staged.append((stage.label, traces))
    picture = go.Figure()
    lay_out_triangle(picture, [f"p̃ of class {k}" for k in classes])
    plotly_panels.add_stages(picture, staged)
    plotly_panels.write_caption(picture, _caption(trajectory, classes))
    return picture


def clouds(stage: Stage, classes: list[int]) -> list[Cloud]:
    """Restrict the probabilities to three classes, and the examples to those of these classes.

    Parameters
    ----------
    stage
        Holds `probabilities` (example, logit) and `targets` (example).
    classes
        Three class numbers.

    Returns
    -------
    list of Cloud
        One for each class; at most 100 examples each, evenly picked.
    """
    columns = [logits_looked_at(stage.snapshot).index(k) for k in classes]
    probabilities = np.asarray(stage.snapshot["probabilities"].values, dtype=float)[:, columns]
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    targets = stage.snapshot["targets"].values
    found = []
    for true_class in classes:
        own = probabilities[targets == true_class]
        picked = np.linspace(0, len(own) - 1, min(len(own), _EXAMPLES)).round().astype(int)
        found.append(Cloud(f"true class {true_class}", own[picked], own.mean(axis=0)))
    return found


def _three_classes(trajectory: xr.Dataset) -> list[int]:
    """Pick the three classes with the most examples, the first of equals."""
    targets = np.ravel(trajectory["targets"].values)
    targets = targets[np.isin(targets, logits_looked_at(trajectory))]
    classes, counts = np.unique(targets[targets >= 0], return_counts=True)
    if len(classes) < 3:
        raise NotMeasuredError(f"a simplex needs examples of three classes, found {len(classes)}")
    return sorted(int(k) for k in classes[np.argsort(-counts, kind="stable")[:3]])


def _caption(trajectory: xr.Dataset, classes: list[int]) -> str:
    named = f"classes {classes[0]}, {classes[1]} and {classes[2]}"
    C = number_of_classes(trajectory)
    if C == 3:
        return f"Examples of {named}; large marks are class means."
    return (
        f"Examples whose true class is one of {classes[0]}, {classes[1]}, {classes[2]}; their "
        f"probabilities are restricted to these of {C:,} classes and "
        "renormalised. Large marks are class means."
    )


def _traces(cloud: Cloud, way: np.ndarray, colour: str, symbol: str) -> list[go.Scatterternary]:
    def trace(points: np.ndarray, **style: Any) -> go.Scatterternary:
        named = {"name": cloud.name, "legendgroup": cloud.name}
        return points_in_triangle(points, **named, **style)

    return [
        trace(
            cloud.points,
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 7, "opacity": 0.5},
        ),
        trace(way, mode="lines", line={"color": colour, "width": 1.5}, **_SILENT),
        trace(
            cloud.mean[None],
            mode="markers",
            marker={
                "color": colour,
                "symbol": symbol,
                "size": 15,
                "line": {"color": INK, "width": 1.2},
            },
            showlegend=False,
        ),
    ]


_SILENT = {"hoverinfo": "skip", "showlegend": False}
