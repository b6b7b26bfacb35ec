"""How much of the gradient lies in the top eigenvectors of the curvature."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.panel import Curve, Level, Panel
from landscope.figures.stages import Stage, as_trajectory, number_of_classes, present, stages
from landscope.figures.style import OPERATOR_COLOURS, OPERATOR_SYMBOLS

TITLE = "Gradient power: the share of the top eigenvectors"
HOW_TO_READ = (
    "The curves climb to the share of the squared gradient that the k top eigenvectors "
    "hold (a random direction would hold k/D); the dots are the cosines that they add up from, "
    "eigenvector by eigenvector; the dotted line marks the top C."
)
EXPECTED = (
    "In the random model (Fig. 6) most of the gradient's power, 71 % in the draw shown, lies in "
    "the top 10 eigenvectors of D = 1000. That is one draw: at the same parameters the share "
    "scatters from 0.2 to 0.85 around 0.64, so no threshold follows from it. The paper does not "
    "say how the share depends on learning rate, momentum or batch size; on real networks it does."
)
DEFINITIONS = (
    ("g = ∂L/∂W", "gradient of the loss"),
    ("cos<sub>i</sub> = v<sub>i</sub>·g/‖g‖", "v<sub>i</sub> the i-th eigenvector, largest first"),
    ("power(k) = Σ<sub>i≤k</sub> cos<sub>i</sub>²", "share of ‖g‖² in the top k; 1 at k = D"),
)
REQUIRES = ("hessian_gradient_power",)


def figure(trajectory: xr.Dataset) -> Figure:
    """Draw the cumulative shares above the cosines at four stages.

    Parameters
    ----------
    trajectory
        Measurements along the dimension `step`, or a single snapshot.

    Returns
    -------
    matplotlib.figure.Figure
    """
    trajectory = as_trajectory(trajectory, REQUIRES)
    columns = [
        _panels(trajectory, stage, f", {stage.label}") for stage in stages(trajectory, at_most=4)
    ]
    return static.draw(list(zip(*columns, strict=True)), row_height=1.9)


def interactive(trajectory: xr.Dataset) -> go.Figure:
    """Draw the cumulative shares beside the cosines, with a slider over the stages."""
    trajectory = as_trajectory(trajectory, REQUIRES)
    staged = [(stage.label, _panels(trajectory, stage)) for stage in stages(trajectory)]
    return plotly_panels.draw(staged, columns=2)


def _panels(trajectory: xr.Dataset, stage: Stage, suffix: str = "") -> list[Panel]:
    C = number_of_classes(trajectory)
    operators = [
        operator
        for operator in ("hessian", "gauss_newton")
        if present(trajectory, f"{operator}_gradient_power")
    ]
    shown = 2 * trajectory.sizes["rank"] >= C  # of a vocabulary too far to the right
    largest = max(trajectory.sizes["rank"], C if shown else 0) + 0.8
    return [
        Panel(
            title=f"Cumulative{suffix}",
            xlabel="eigenvectors k",
            ylabel="share of ‖g‖²",
            curves=[_power(stage, operator) for operator in operators],
            levels=[Level(C, f"C = {C}", upright=True)] if shown else [],
            xlim=(0, largest),
            ylim=(0, 1.04),
        ),
        Panel(
            title=f"Cosines{suffix}",
            xlabel="eigenvector i",
            ylabel="cos<sub>i</sub>",
            curves=[_cosines(stage, operator) for operator in operators],
            levels=[
                *([Level(C + 0.5, f"C = {C}", upright=True)] if shown else []),
                Level(0, ""),
            ],
            xlim=(0, largest),
            ylim=(-1.04, 1.04),
        ),
    ]


def _power(stage: Stage, operator: str) -> Curve:
    power = stage.vector(f"{operator}_gradient_power")
    return Curve(
        OPERATOR_SYMBOLS[operator],
        np.arange(power.size + 1),
        np.concatenate([[0.0], power]),
        OPERATOR_COLOURS[operator],
        hover=["", *(f"top {k + 1}: {share:.1%}" for k, share in enumerate(power))],
    )


def _cosines(stage: Stage, operator: str) -> Curve:
    cosines = stage.vector(f"{operator}_gradient_cosines")
    values = stage.vector(f"{operator}_eigenvalues")
    return Curve(
        OPERATOR_SYMBOLS[operator],
        np.arange(1, cosines.size + 1),
        cosines,
        OPERATOR_COLOURS[operator],
        kind="points",
        symbol="circle" if operator == "hessian" else "diamond-open",
        hover=[
            f"i = {i + 1}, λ = {v:.3g}, cos {c:+.3f}"
            for i, (v, c) in enumerate(zip(values, cosines, strict=False))
        ],
    )
