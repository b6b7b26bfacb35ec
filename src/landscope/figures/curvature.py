"""Curvature against training: sharpness, trace, Tr/‖·‖ and the number of outliers."""

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.along_training import along_training
from landscope.figures.panel import Curve, Level, Panel
from landscope.figures.stages import (
    as_trajectory,
    number_of_classes,
    present,
    series,
    training_axis,
)
from landscope.figures.style import BAND, MUTED, OPERATOR_COLOURS, OPERATOR_SYMBOLS
from landscope.geometry import heavy_ball_limit

TITLE = "Curvature: its rise and fall along training"
HOW_TO_READ = (
    "Each panel follows one number of H and of its G-term: the largest eigenvalue against the "
    "limit of stability of gradient descent, the trace, the ratio Tr/‖·‖ that marks the "
    "Goldilocks zone, and how many eigenvalues stand clear of the bulk."
)
EXPECTED = (
    "The top eigenvalue rises, then falls (property 3, Fig. 7); in the model that holds only if "
    "logit gradients grow more slowly than the probabilities freeze (σ<sub>c</sub>² ∝ "
    "σ<sub>z</sub><sup>β</sup> with β < 1), so a short run may show the rise alone. "
    "Tr/‖·‖ falls as σ<sub>z</sub> grows (Fig. 8), in the model a finite-N effect: at N → ∞ it is "
    "√(C−1)(1 + σ<sub>E</sub>²/σ<sub>c</sub>²) throughout. There H = G; in a network R adds "
    "much to ‖H‖ and little to Tr H, so the ratio of H can start low and rise. Outliers: C by the "
    "abstract, C − 1 by the model. The paper says nothing of 2/η: that limit is for full-batch "
    "gradient descent on a quadratic; momentum and minibatches move it."
)
DEFINITIONS = (
    ("λ<sub>max</sub>", "largest eigenvalue of H or G; its error bar is its residual ‖Av − λv‖"),
    ("Tr = Σ<sub>i</sub> λ<sub>i</sub>", "trace, by random probes"),
    ("‖·‖ = (Σ<sub>i</sub> λ<sub>i</sub>²)<sup>½</sup>", "Frobenius norm"),
    (
        "limit of stability",
        "of gradient descent, 2(1 + β)/η at learning rate η and momentum β (0 where not recorded); "
        "Adam's is one of λ<sub>max</sub>(P⁻¹H)",
    ),
)
REQUIRES = ("hessian_eigenvalues",)


def figure(trajectory: xr.Dataset) -> Figure:
    """Draw each quantity against the training step.

    Parameters
    ----------
    trajectory
        Measurements along the dimension `step`, or a single snapshot.

    Returns
    -------
    matplotlib.figure.Figure
    """
    panels = _panels(as_trajectory(trajectory, REQUIRES))
    return static.draw([panels[:2], panels[2:]], caption=_CAPTION)


def interactive(trajectory: xr.Dataset) -> go.Figure:
    """Draw each quantity against the training step."""
    panels = _panels(as_trajectory(trajectory, REQUIRES))
    return plotly_panels.draw([("", panels)], columns=2, caption=_CAPTION, row_height=300)


_CAPTION = (
    f"Error bars: ± {BAND:g} standard errors; for λ<sub>max</sub> the residual of the eigenpair."
)
_OPERATORS = ("hessian", "gauss_newton")


def _panels(trajectory: xr.Dataset) -> list[Panel]:
    C = number_of_classes(trajectory)
    outliers = along_training(
        trajectory,
        "Number of outliers",
        "outliers",
        _both("num_outliers"),
        [Level(C - 1, f"C − 1 = {C - 1}")] if trajectory.sizes["rank"] >= C else [],
    )
    most = max(value for curve in outliers.curves for value in (*curve.y, 1))
    most = max([most, *(level.value for level in outliers.levels)])
    return [
        _sharpness(trajectory),
        along_training(trajectory, "Trace", "Tr (loss/weight²)", _both("trace"), wide=True),
        along_training(trajectory, "Trace over Frobenius norm", "Tr/‖·‖", _both("trace_over_norm")),
        replace(outliers, ylim=(0, 1.2 * most)),
    ]


def _both(name: str) -> list[tuple[str, str, str]]:
    return [
        (f"{operator}_{name}", OPERATOR_SYMBOLS[operator], OPERATOR_COLOURS[operator])
        for operator in _OPERATORS
    ]


def _sharpness(trajectory: xr.Dataset) -> Panel:
    """Compare the largest eigenvalues with the limit of stability, where η is known."""
    top = trajectory.isel(rank=0)
    panel = along_training(
        top,
        "Largest eigenvalue",
        "λ<sub>max</sub> (loss/weight²)",
        _both("eigenvalues"),
        errors={
            f"{operator}_eigenvalues": (f"{operator}_residuals", 1.0) for operator in _OPERATORS
        },
    )
    limit = _limit(trajectory)
    if not np.isfinite(limit).any():
        return panel
    curve = Curve(
        "limit of stability",
        training_axis(trajectory["step"].values).positions,
        limit,
        MUTED,
        dashed=True,
        hover=[f"stable below {value:.4g}" for value in limit],
    )
    return replace(panel, curves=[*panel.curves, curve], log_y=True)


def _limit(trajectory: xr.Dataset) -> np.ndarray:
    """Read the limit of λ_max(H) or work it out; NaN where it is another matrix's, or unknown."""
    if present(trajectory, "sharpness_limit"):
        measured = trajectory["sharpness_limit"]
        known = measured.attrs.get("limit_of") == "λ_max(H)"
        return np.where(known & np.isfinite(measured.values), measured.values, np.nan)
    rate = series(trajectory, "learning_rate")
    descends = trajectory.attrs.get("optimizer", "sgd") == "sgd"
    threshold = heavy_ball_limit(float(trajectory.attrs.get("momentum", 0.0)))
    return np.divide(threshold, rate, out=np.full_like(rate, np.nan), where=descends & (rate > 0))
