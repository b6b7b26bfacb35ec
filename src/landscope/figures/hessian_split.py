"""The two terms of the Hessian: logit curvature R against the G-term."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.along_training import along_training
from landscope.figures.panel import Curve, Level, Panel
from landscope.figures.stages import Stage, as_trajectory, stages
from landscope.figures.style import BAND, GREEN, OPERATOR_COLOURS, OPERATOR_SYMBOLS, PURPLE

TITLE = "Logit curvature: the H-term against the G-term"
HOW_TO_READ = (
    "Left, how large the H-term R is beside the G-term; middle, the top eigenvalues of H, G and R "
    "(R by magnitude, either sign); right, the share of each top eigenvalue of H that G explains, "
    "1 where R adds nothing."
)
EXPECTED = (
    "The first observation the model rests on: R is small beside G, so H ≈ G. The paper gives no "
    "bound. What its model needs is that R is weak beside the outliers of G; the Frobenius ratio "
    "also counts the many small eigenvalues of R in the bulk, and R is weighted by the residuals "
    "p − y, largest before training, so the ratio can exceed 1 at first. R should weaken as a "
    "network widens: the tangent-kernel limit."
)
DEFINITIONS = (
    (
        "R = (1/N) Σ<sub>μ</sub> Σ<sub>k</sub> (p<sub>k</sub><sup>μ</sup> − y<sub>k</sub><sup>μ"
        "</sup>) ∂²z<sub>k</sub><sup>μ</sup>/∂W²",
        "H-term (logit curvature), H = G + R",
    ),
    ("‖R‖/‖G‖", "ratio of Frobenius norms, by random probes"),
    ("v<sub>i</sub><sup>T</sup>Gv<sub>i</sub>/λ<sub>i</sub>", "share of G in eigenvalue i of H"),
)
REQUIRES = ("logit_curvature_ratio",)

_EIGENVALUES = {"hessian": "circle", "gauss_newton": "diamond-open", "logit_curvature": "x"}


def figure(trajectory: xr.Dataset) -> Figure:
    """Draw the ratio against training, and eigenvalues and shares at the last stage.

    Parameters
    ----------
    trajectory
        Measurements along the dimension `step`, or a single snapshot.

    Returns
    -------
    matplotlib.figure.Figure
    """
    trajectory = as_trajectory(trajectory, REQUIRES)
    last = stages(trajectory)[-1]
    return static.draw([_panels(trajectory, last, f", {last.label}")], _CAPTION, row_height=2.3)


def interactive(trajectory: xr.Dataset) -> go.Figure:
    """Draw the same with a slider over the stages."""
    trajectory = as_trajectory(trajectory, REQUIRES)
    staged = [(stage.label, _panels(trajectory, stage)) for stage in stages(trajectory)]
    return plotly_panels.draw(staged, columns=3, caption=_CAPTION)


_CAPTION = f"Error bars: ± {BAND:g} standard errors over random probes."


def _panels(trajectory: xr.Dataset, stage: Stage, suffix: str = "") -> list[Panel]:
    ratio = along_training(
        trajectory,
        "Size of R beside G",
        "‖R‖/‖G‖",
        [("logit_curvature_ratio", "‖R‖/‖G‖", GREEN)],
    )
    share = stage.vector("gauss_newton_share")
    return [
        ratio,
        Panel(
            title=f"Top eigenvalues{suffix}",
            xlabel="rank i",
            ylabel="λ<sub>i</sub> (loss/weight²)",
            curves=[_eigenvalues(stage, operator) for operator in _EIGENVALUES],
            levels=[Level(0, "")],
        ),
        Panel(
            title=f"Share of G{suffix}",
            xlabel="eigenvector i of H",
            ylabel="v<sub>i</sub><sup>T</sup>Gv<sub>i</sub>/λ<sub>i</sub>",
            curves=[
                Curve("share of G in H", _ranks(share), share, PURPLE, kind="points"),
            ],
            levels=[Level(1, "H = G")],
            ylim=(min(0.0, *share) if share.size else 0.0, max(1.1, *share) if share.size else 1.1),
        ),
    ]


def _eigenvalues(stage: Stage, operator: str) -> Curve:
    values = stage.vector(f"{operator}_eigenvalues")
    return Curve(
        OPERATOR_SYMBOLS[operator],
        _ranks(values),
        values,
        OPERATOR_COLOURS[operator],
        kind="points",
        symbol=_EIGENVALUES[operator],
    )


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.arange(1, values.size + 1)
