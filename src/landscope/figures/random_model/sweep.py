"""The random model's scalars along one of its parameters."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.panel import Curve, Panel
from landscope.figures.style import BAND, BLUE, ORANGE

TITLE = "Sweep: spectrum and gradient along one parameter"
HOW_TO_READ = "Points are means over draws, lines the theory given the same draws."
EXPECTED = (
    "The paper sweeps σ<sub>z</sub> alone (Figs. 7 and 8). The theory is conditional on "
    "probabilities and centroids; at N = 300 and D = 1000 it is within 1 % of outliers well "
    "outside the bulk and within 4 % of those near it."
)
DEFINITIONS = (
    ("λ<sub>1</sub>, λ<sub>C−1</sub>", "first and last of the C − 1 largest eigenvalues"),
    ("λ<sub>C</sub>", "largest eigenvalue below them, beside the predicted edge of the bulk"),
    ("outliers", "eigenvalues beyond the edge by more than it fluctuates"),
)

_PANELS = (
    ("top_eigenvalue", "Largest eigenvalue", "λ<sub>1</sub>"),
    ("last_outlier", "Last of the C − 1", "λ<sub>C−1</sub>"),
    ("edge", "Edge of the bulk", "λ<sub>C</sub>, λ<sub>+</sub>"),
    ("num_outliers", "Outliers", "number"),
    ("top_power", "Gradient in the top C − 1", "share of ‖g‖²"),
    ("trace_over_norm", "Trace over norm", "Tr H/‖H‖<sub>F</sub>"),
)
_SYMBOLS = {
    "num_classes": "classes C",
    "num_examples": "examples N",
    "num_params": "parameters D",
    "sigma_c": "σ<sub>c</sub>",
    "sigma_e": "σ<sub>E</sub>",
    "sigma_z": "σ<sub>z</sub>",
    "sigma_class": "σ<sub>class</sub>",
}


def figure(drawn: xr.Dataset) -> Figure:
    """Draw each scalar against the parameter."""
    panels = _panels(drawn)
    return static.draw([panels[:3], panels[3:]], caption=_caption(drawn))


def interactive(drawn: xr.Dataset) -> go.Figure:
    """Draw each scalar against the parameter."""
    return plotly_panels.draw(
        [("", _panels(drawn))], columns=3, caption=_caption(drawn), row_height=300
    )


def _panels(drawn: xr.Dataset) -> list[Panel]:
    x, swept = drawn["value"].values, drawn.attrs["swept"]
    return [
        _panel(drawn, x, _SYMBOLS.get(swept, swept), name, title, label)
        for name, title, label in _PANELS
    ]


def _panel(
    drawn: xr.Dataset, x: np.ndarray, xlabel: str, name: str, title: str, ylabel: str
) -> Panel:
    num_draws = drawn.sizes["draw"]
    means = drawn[name].mean("draw").values
    error = (
        BAND * drawn[name].std("draw", ddof=1).values / num_draws**0.5 if num_draws > 1 else None
    )
    theory = drawn[f"{name}_theory"].mean("draw").values
    return Panel(
        title,
        xlabel,
        ylabel,
        [
            Curve("drawn", x, means, BLUE, "points", error=error),
            Curve("theory", x, theory, ORANGE),
        ],
        log_x=_ranges_over_scales(x),
        log_y="eigenvalue" in name and _ranges_over_scales(np.append(means, theory)),
    )


def _ranges_over_scales(values: np.ndarray) -> bool:
    return bool(values.min() > 0 and values.max() > 20 * values.min())


def _caption(drawn: xr.Dataset) -> str:
    if drawn.sizes["draw"] < 2:
        return "One draw at each point."
    return f"Error bars: ± {BAND:g} standard errors over {drawn.sizes['draw']} draws."
