"""The probability simplex of three classes as a triangle."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes

from landscope.figures.style import INK, MUTED, RULE, TEMPLATE

CLASS_SYMBOLS = ("circle", "square", "triangle-up")
"""Of three classes, by position."""


def cartesian(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place probabilities (…, 3) in a triangle of side 1: first class on top, then left, right."""
    return points[..., 2] + points[..., 0] / 2, np.sqrt(3) / 2 * points[..., 0]


def draw_triangle(axes: Axes, corners: Sequence[str]) -> None:
    """Draw the triangle, its quarter lines and the names of its corners."""
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_xlim(-0.1, 1.1)
    axes.set_ylim(-0.16, 1.02)
    for share in (0.25, 0.5, 0.75):
        for corner in range(3):
            ends = np.full((2, 3), 0.0)
            ends[:, corner] = share
            ends[0, corner - 1] = ends[1, corner - 2] = 1 - share
            axes.plot(*cartesian(ends), color=RULE, lw=0.5, zorder=0)
    axes.plot(*cartesian(np.eye(3)[[0, 1, 2, 0]]), color=MUTED, lw=0.8, zorder=0)
    for name, x, y in zip(corners, *cartesian(np.eye(3)), strict=True):
        lift = 0.06 if y > 0 else -0.12
        axes.text(x, y + lift, name, ha="center", fontsize=7, color=INK)


def points_in_triangle(points: np.ndarray, **style: Any) -> go.Scatterternary:
    """Place probabilities (n, 3) in an interactive triangle."""
    a, b, c = points.T
    return go.Scatterternary(a=a, b=b, c=c, cliponaxis=False, **style)


def lay_out_triangle(figure: go.Figure, corners: Sequence[str], height: int = 600) -> None:
    """Name the corners of an interactive triangle."""
    axis = {"linecolor": MUTED, "gridcolor": RULE, "tickvals": [0.25, 0.5, 0.75], "ticklen": 4}
    named = zip(("aaxis", "baxis", "caxis"), corners, strict=True)
    axes = {name: {"title": {"text": corner}, **axis} for name, corner in named}
    figure.update_layout(template=TEMPLATE, height=height, ternary={"bgcolor": "white", **axes})
