"""The look that all figures share: colours, sizes, the matplotlib and the plotly style."""

from typing import Any

import matplotlib
import plotly.graph_objects as go
from matplotlib.colors import to_hex

# Okabe & Ito (2008): eight colours that readers with any colour vision tell apart.
BLACK = "#000000"
ORANGE = "#E69F00"
SKY_BLUE = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"

INK = "#1d2433"
MUTED = "#6b7280"
RULE = "#e5e7eb"

# H, G and R keep their colours in every picture.
OPERATOR_COLOURS = {"hessian": BLUE, "gauss_newton": ORANGE, "logit_curvature": PURPLE}
OPERATOR_SYMBOLS = {"hessian": "H", "gauss_newton": "G", "logit_curvature": "R"}

CLASS_COLOURS, CLASS_MARKERS = (BLUE, ORANGE, GREEN), ("o", "s", "^")
"""Of three classes, by position."""

SYMBOLS = ("circle", "square", "diamond-open", "triangle-up", "x", "star")
"""Markers of curves whose colours are shades."""

# Half-width of every band and error bar, in standard errors: about 95 % where they are Gaussian.
BAND = 2.0

DIVERGING = "RdBu_r"

FULL_WIDTH = 7.2
"""Width of a static figure in inches: the text width of a journal page."""

PAPER: dict[Any, Any] = {
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "savefig.dpi": 220,
    "font.family": "DejaVu Sans",
    "mathtext.fontset": "dejavusans",
    "font.size": 7.5,
    "text.color": INK,
    "axes.titlesize": 8.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 6.8,
    "ytick.labelsize": 6.8,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.visible": False,
    "ytick.minor.size": 0.0,
    "legend.fontsize": 7.2,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": True,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.6,
    "svg.fonttype": "path",
    # The same measurements give the same file, byte for byte.
    "svg.hashsalt": "landscope",
}

_AXIS = {
    "showline": True,
    "linecolor": MUTED,
    "linewidth": 1,
    "gridcolor": RULE,
    "zeroline": False,
    "ticks": "outside",
    "ticklen": 4,
    "tickcolor": MUTED,
    "title": {"standoff": 8, "font": {"size": 13}},
    "tickfont": {"size": 12},
    "automargin": True,
}

TEMPLATE = go.layout.Template(
    layout={
        "font": {
            "family": "Inter, 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif",
            "size": 13,
            "color": INK,
        },
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "hoverlabel": {"bgcolor": "white", "bordercolor": RULE, "font": {"color": INK}},
        "margin": {"l": 64, "r": 24, "t": 72, "b": 56},
        "legend": {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.0,
            "yref": "container",
            "yanchor": "top",
            "font": {"size": 13},
        },
    }
)


def stage_colours(count: int) -> list[str]:
    """Give one colour for each stage of training, early dark and late light.

    Parameters
    ----------
    count
        The number of stages.

    Returns
    -------
    list of str
        Hexadecimal colours from viridis, whose lightness rises evenly; its lightest end, which
        white paper swallows, is left out.

    Examples
    --------
    >>> stage_colours(2)
    ['#440154', '#7ad151']
    """
    viridis = matplotlib.colormaps["viridis"]
    return [to_hex(viridis(0.8 * i / max(count - 1, 1))) for i in range(count)]
