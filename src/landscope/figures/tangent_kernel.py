"""The tangent kernel: its spectrum and how far it has drifted."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.along_training import along_training
from landscope.figures.panel import Curve, Panel
from landscope.figures.stages import as_trajectory, stages
from landscope.figures.style import BLUE, VERMILLION

TITLE = "Tangent kernel: spectrum and drift"
HOW_TO_READ = (
    "Left, the eigenvalues of the kernel of all logit gradients, from early (dark) to late "
    "(light); middle, their sum; right, how far the kernel has moved from where it began, in units "
    "of its own size there."
)
EXPECTED = (
    "The paper names the tangent kernel as a limit: in it the kernel stays where it began and "
    "logit curvature vanishes, so that G's spectrum follows from K and the probabilities alone. "
    "It measures no drift; finite networks that learn features drift, so this is a measure of how "
    "far from that limit a network trains."
)
DEFINITIONS = (
    ("K = JJ<sup>T</sup>", "inner products of all logit gradients, order N·C"),
    ("drift = ‖K − K₀‖/‖K₀‖", "relative change from the reference point, in the Frobenius norm"),
)
REQUIRES = ("tangent_kernel_eigenvalues",)


def figure(trajectory: xr.Dataset) -> Figure:
    """Draw the spectra of all stages, and trace and drift against training.

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
    """Draw the spectra of all stages, and trace and drift against training."""
    return plotly_panels.draw([("", _panels(as_trajectory(trajectory, REQUIRES)))], columns=3)


def _panels(trajectory: xr.Dataset) -> list[Panel]:
    spectra = []
    for stage in stages(trajectory, at_most=6):
        values = stage.vector("tangent_kernel_eigenvalues")
        values = values[values > 0]
        ranks = np.arange(1, values.size + 1)
        spectra.append(Curve(stage.label, ranks, values, stage.colour))
    return [
        Panel(
            "Spectrum", "rank", "eigenvalue of K (logit²/weight²)", spectra, log_x=True, log_y=True
        ),
        along_training(
            trajectory,
            "Trace",
            "Tr K (logit²/weight²)",
            [("tangent_kernel_trace", "Tr K", BLUE)],
            wide=True,
        ),
        along_training(
            trajectory,
            "Drift",
            "‖K − K₀‖/‖K₀‖",
            [("tangent_kernel_drift", "drift", VERMILLION)],
            wide=True,
        ),
    ]
