"""The full table of mean cosines between logit gradients, class by class."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib import colormaps, rc_context
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.stages import as_trajectory, logits_looked_at, stages
from landscope.figures.style import DIVERGING, INK, PAPER, TEMPLATE

TITLE = "Clustering table: logit by logit, class by class"
HOW_TO_READ = (
    "Each pixel is the mean cosine between the gradients of logit k at examples of class a (row) "
    "and of logit l at examples of class b (column); blocks are logits, and inside a block the "
    "classes run in order."
)
EXPECTED = (
    "Warm blocks along the diagonal (same logit), pale ones elsewhere. The paper averages this "
    "table to three numbers and does not show it; stripes inside the blocks are means that depend "
    "on the true class, which the model leaves out and which add outliers to real spectra."
)
DEFINITIONS = (
    (
        "cos[k,a,l,b] = mean<sub>μ in a, ν in b, μ≠ν</sub> cos(J<sub>k</sub><sup>μ</sup>, "
        "J<sub>l</sub><sup>ν</sup>)",
        "examples μ of class a and ν of class b",
    ),
)
REQUIRES = ("clustering_table",)

# A table of C⁴ cosines is shown for this many logits and classes at the most.
_SHOWN = 10


def figure(trajectory: xr.Dataset) -> Figure:
    """Draw the table at the last stage as a heat map.

    Parameters
    ----------
    trajectory
        Measurements along the dimension `step`, or a single snapshot.

    Returns
    -------
    matplotlib.figure.Figure
    """
    matrix, logits, caption = _matrix(trajectory)
    limit = np.nanmax(np.abs(matrix))
    centres, edges = _blocks(len(logits))
    with rc_context(PAPER | {"axes.grid": False}):
        picture = Figure(figsize=(4.6, 4.1), layout="constrained")
        axes = picture.subplots()
        image = axes.imshow(
            matrix, cmap=DIVERGING, vmin=-limit, vmax=limit, interpolation="nearest"
        )
        for edge in edges:
            axes.axhline(edge, color=INK, lw=0.3)
            axes.axvline(edge, color=INK, lw=0.3)
        axes.set_xticks(centres, logits)
        axes.set_yticks(centres, logits)
        axes.set_xlabel(_COLUMNS)
        axes.set_ylabel(_ROWS)
        picture.colorbar(image, ax=axes, label="mean cosine", shrink=0.8)
        static.write_caption(picture, caption)
        static.settle(picture)
    return picture


def interactive(trajectory: xr.Dataset) -> go.Figure:
    """Draw the table at the last stage as a heat map that names what is pointed at."""
    matrix, logits, caption = _matrix(trajectory)
    limit = np.nanmax(np.abs(matrix))
    centres, edges = _blocks(len(logits))
    names = [f"logit {k} on class {a}" for k in logits for a in logits]
    picture = go.Figure(
        go.Heatmap(
            x=names,
            y=names,
            z=matrix,
            colorscale=[[place, to_hex(colormaps[DIVERGING](place))] for place in _COLOUR_STOPS],
            zmin=-limit,
            zmax=limit,
            colorbar={
                "title": {"text": "mean cosine", "side": "right", "font": {"size": 13}},
                "thickness": 14,
            },
            hovertemplate="%{y}<br>%{x}<br>cosine %{z:.3f}<extra></extra>",
        )
    )
    ticks = {"tickvals": centres, "ticktext": logits, "showgrid": False}
    picture.update_layout(
        template=TEMPLATE,
        height=680,
        xaxis={"title": {"text": _COLUMNS}, "constrain": "domain", **ticks},
        yaxis={
            "title": {"text": _ROWS},
            "autorange": "reversed",
            "scaleanchor": "x",
            "constrain": "domain",
            **ticks,
        },
        margin={"t": 24},
    )
    for edge in edges:
        picture.add_hline(edge, line={"color": INK, "width": 0.6})
        picture.add_vline(edge, line={"color": INK, "width": 0.6})
    plotly_panels.write_caption(picture, caption)
    return picture


_ROWS = "logit k; inside a block, true class a"
_COLUMNS = "logit l; inside a block, true class b"
_COLOUR_STOPS = np.linspace(0, 1, 11)


def _matrix(trajectory: xr.Dataset) -> tuple[np.ndarray, list[str], str]:
    """Flatten the last table to rows (k, a) and columns (l, b); name the logits that it shows."""
    last = stages(as_trajectory(trajectory, REQUIRES))[-1]
    table = np.asarray(last.snapshot["clustering_table"].values, dtype=np.float32)
    C = table.shape[0]
    shown = min(C, _SHOWN)
    matrix = table[:shown, :shown, :shown, :shown].reshape(shown**2, shown**2)
    extent = f"all {C}" if shown == C else f"the first {shown} of {C}"
    if (of := last.number("num_classes")) > C:
        extent = f"{shown} of {of:,.0f}"
    names = [str(k) for k in logits_looked_at(last.snapshot)[:shown]]
    return matrix, names, f"At {last.label}; {extent} logits and classes."


def _blocks(shown: int) -> tuple[list[float], list[float]]:
    """Give the centres of the blocks and the edges between them."""
    centres = [shown * (k + 0.5) - 0.5 for k in range(shown)]
    edges = [shown * k - 0.5 for k in range(1, shown)]
    return centres, edges
