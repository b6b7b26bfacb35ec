"""The weight of the logits' curvature against the width of the network."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.networks.over_seeds import (
    above_zero,
    limits_around,
    over_seeds,
    said_of_seeds,
)
from landscope.figures.panel import Level, Panel
from landscope.figures.style import SYMBOLS, stage_colours

TITLE = "Split: the curvature of the logits against the width"
HOW_TO_READ = (
    "A column for each network, a colour for each stage of training: above the norm of the logits' "
    "own curvature R beside that of G, then what G explains of the top eigenvalues of H, and below "
    "how far the tangent kernel has moved from where training began."
)
EXPECTED = (
    "The paper takes R for weak. In the tangent-kernel limit of wide networks R vanishes and the "
    "kernel stays where it is (Jacot et al. 2018, arXiv:1806.07572): all curves should fall, and "
    "the shares go to one, as the width grows. PyTorch's initialisation is not that limit's "
    "scaling, so the fall may set in late."
)
DEFINITIONS = (
    (
        "H = G + R",
        "R = (1/N) Σ<sub>μ,k</sub> (p<sub>k</sub><sup>μ</sup> − "
        "y<sub>k</sub><sup>μ</sup>) ∂²z<sub>k</sub><sup>μ</sup>/∂W²",
    ),
    ("v<sup>T</sup>Gv/λ", "share of G, mean over the top C − 1 eigenpairs (λ, v) of H"),
    ("‖K − K<sub>0</sub>‖/‖K<sub>0</sub>‖", "drift of K = JJ<sup>T</sup> from initialisation"),
)

_ROWS = (
    ("Norm of R", "‖R‖/‖G‖", "ratio", True, 1.0),
    ("What G explains", "share of G in λ", "gauss_newton_share", False, 1.0),
    ("Drift of the kernel", "‖K − K<sub>0</sub>‖/‖K<sub>0</sub>‖", "kernel_drift", True, None),
)


def figure(measured: xr.Dataset) -> Figure:
    """Draw three rows of panels, a column for each network.

    Parameters
    ----------
    measured
        What `landscope.experiments.networks.logit_curvature.compute` returns.
    """
    return static.draw(_grid(measured), caption=_caption(measured))


def interactive(measured: xr.Dataset) -> go.Figure:
    """Draw three rows of panels, a column for each network."""
    grid = _grid(measured)
    panels = [panel for row in grid for panel in row]
    return plotly_panels.draw([("", panels)], columns=len(grid[0]), caption=_caption(measured))


def _grid(measured: xr.Dataset) -> list[list[Panel]]:
    networks = measured["network"].values.tolist()
    return [[_panel(measured.sel(network=name), name, *row) for name in networks] for row in _ROWS]


def _panel(
    of_network: xr.Dataset,
    name: str,
    title: str,
    ylabel: str,
    variable: str,
    log: bool,
    level: float | None,
) -> Panel:
    widths = of_network["width"].values.astype(float)
    stages = of_network["stage"].values.tolist()
    values = of_network[variable]
    curves = [
        over_seeds(stage, widths, values.sel(stage=stage), colour, symbol=symbol)
        for stage, colour, symbol in zip(stages, stage_colours(len(stages)), SYMBOLS, strict=False)
        # Nothing has drifted from where it begins.
        if bool(np.isfinite(values.sel(stage=stage)).any()) and float(values.sel(stage=stage).max())
    ]
    if log:
        curves = [above_zero(curve) for curve in curves]
    return Panel(
        f"{title}, {name}",
        "width (× the base network)",
        ylabel,
        curves,
        levels=[] if level is None else [Level(level, "")],
        log_x=True,
        log_y=log,
        ylim=limits_around(*(curve.y for curve in curves)) if log else None,
        xticks=(widths.tolist(), [f"{width:g}" for width in widths]),
    )


def _caption(measured: xr.Dataset) -> str:
    sizes = "; ".join(
        f"{name}: {float(counts.min()):,.0f} to {float(counts.max()):,.0f} parameters"
        for name in measured["network"].values.tolist()
        for counts in [measured["num_params"].sel(network=name)]
    )
    return (
        f"{measured.attrs['data_title']}. {sizes}. Dotted: R as large as G; G explains all. "
        f"{said_of_seeds(measured)}"
    )
