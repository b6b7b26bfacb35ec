"""The optimiser against the landscape: how near the edge of stability each step is."""

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.along_training import along_training
from landscope.figures.panel import Curve, Panel
from landscope.figures.stages import as_trajectory
from landscope.figures.style import BLUE, GREEN, MUTED, VERMILLION
from landscope.geometry.stability import EDGE

TITLE = "Stability: the step against the largest that stands"
HOW_TO_READ = (
    "Left, the largest eigenvalue that the optimiser sees in units of its limit of stability, with "
    "the edge of stability as a band around 1, the limit; right, the learning rate beside the "
    "largest one that would be stable."
)
EXPECTED = (
    "The paper says nothing of it. Cohen et al. (arXiv:2103.00065, arXiv:2207.14484) find that "
    "full-batch training sharpens until the ratio is 1 and hovers there, with gradient descent and "
    "with Adam. With small batches it stays below, the lower the smaller the batch: a ratio below "
    "1 is no promise of stability there. Above 1 for long, or rising, training is about to diverge "
    "or to leave for a flatter place."
)
DEFINITIONS = (
    (
        "λ<sub>max</sub>(P⁻¹H)/limit",
        "P: what the optimiser divides gradients by, the identity for gradient descent; limit: "
        "2(1 + β)/((1 − τ)η) at momentum β and dampening τ, 2(1 + β)/((1 + 2β)η) with Nesterov's, "
        "2(1 + β₁)/((1 − β₁)η) for Adam",
    ),
    ("edge of stability", f"from {EDGE:g} of the limit on"),
    ("largest stable η", "the learning rate at which that ratio is 1, here and now"),
)
REQUIRES = ("stability_ratio",)


def figure(trajectory: xr.Dataset) -> Figure:
    """Draw the ratio and the learning rates against the training step.

    Parameters
    ----------
    trajectory
        Measurements along the dimension `step`, or a single snapshot.

    Returns
    -------
    matplotlib.figure.Figure
    """
    return static.draw([_panels(as_trajectory(trajectory, REQUIRES))], row_height=2.3)


def interactive(trajectory: xr.Dataset) -> go.Figure:
    """Draw the ratio and the learning rates against the training step."""
    return plotly_panels.draw([("", _panels(as_trajectory(trajectory, REQUIRES)))], columns=2)


def _panels(trajectory: xr.Dataset) -> list[Panel]:
    return [_ratio(trajectory), _learning_rates(trajectory)]


def _ratio(trajectory: xr.Dataset) -> Panel:
    panel = along_training(
        trajectory,
        "Sharpness over its limit",
        "λ<sub>max</sub>(P⁻¹H)/limit",
        [("stability_ratio", "ratio", BLUE)],
    )
    (ratio,) = panel.curves
    margin = 0.04 * np.ptp(ratio.x) or 0.5
    across = np.array([ratio.x.min() - margin, ratio.x.max() + margin])
    edge = Curve(
        "edge of stability",
        across,
        np.ones(2),
        MUTED,
        error=np.full(2, 1 - EDGE),
        hover=["the limit of stability"] * 2,
        dashed=True,
    )
    return replace(
        panel,
        curves=[edge, ratio],
        xlim=(across[0], across[1]),
        ylim=(min(0.0, 1.1 * np.nanmin(ratio.y)), max(1.2, 1.1 * np.nanmax(ratio.y))),
    )


def _learning_rates(trajectory: xr.Dataset) -> Panel:
    """What a logarithmic axis cannot show, zero at the start of a warm-up, is left out."""
    rates = trajectory[["learning_rate", "max_learning_rate"]]
    panel = along_training(
        rates.where((rates > 0) & np.isfinite(rates)),
        "Learning rate",
        "η",
        [("learning_rate", "η", VERMILLION), ("max_learning_rate", "largest stable η", GREEN)],
    )
    values = np.concatenate([np.empty(0), *(curve.y for curve in panel.curves)])
    orders = np.floor(np.log10(values[np.isfinite(values)]))
    # Whole decades: an axis within one decade would have no label.
    decades = (10.0 ** orders.min(), 10.0 ** (orders.max() + 1)) if orders.size else None
    return replace(panel, log_y=True, ylim=decades)
