"""The fitted random model's outliers over the measured spectrum."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.panel import Curve, Level, Panel
from landscope.figures.stages import (
    NotMeasuredError,
    Stage,
    as_trajectory,
    number_of_classes,
    stages,
)
from landscope.figures.style import BLACK, ORANGE, SKY_BLUE

TITLE = "Fit: what the random model makes of this network"
HOW_TO_READ = (
    "Black dots are the exact eigenvalues of the G-term by rank and the share of the gradient that "
    "they hold together; coloured marks are what the random model predicts from the measured "
    "centroids, residuals and probabilities, the dotted lines the edges of its bulk."
)
EXPECTED = (
    "The paper draws its model at parameters of its own. Fitted to a network, the model of one "
    "centroid per logit and isotropic residuals has the right outliers at initialisation and too "
    "small ones after training; real residuals spread over few dimensions, so that its edge is far "
    "too low and its share of the gradient too high. Means that depend on the class and residuals "
    "with their measured covariance come closer."
)
DEFINITIONS = (
    (
        "J<sub>k</sub><sup>μ</sup> = c<sub>k</sub> + E<sub>k</sub><sup>μ</sup>",
        "one centroid per logit; isotropic E of mean square σ<sub>E</sub>²",
    ),
    (
        "J<sub>k</sub><sup>μ</sup> = c<sub>k,a</sub> + E<sub>k</sub><sup>μ</sup>",
        "a centroid for each class a; E of the measured covariance",
    ),
)
REQUIRES = ("gram_eigenvalues",)

_FITS = (
    ("model", "one centroid per logit, isotropic", "isotropic", ORANGE, "diamond-open"),
    ("class_model", "class-conditional, anisotropic", "anisotropic", SKY_BLUE, "x"),
)


def figure(trajectory: xr.Dataset) -> Figure:
    """Draw spectra above gradient shares at four stages.

    Parameters
    ----------
    trajectory
        Measurements along the dimension `step`, or a single snapshot.
    """
    trajectory = _fitted(trajectory)
    columns = [
        _panels(trajectory, stage, f", {stage.label}") for stage in stages(trajectory, at_most=4)
    ]
    return static.draw(list(zip(*columns, strict=True)))


def interactive(trajectory: xr.Dataset) -> go.Figure:
    """Draw the spectrum beside the gradient's share, with a slider over the stages."""
    trajectory = _fitted(trajectory)
    staged = [(stage.label, _panels(trajectory, stage)) for stage in stages(trajectory)]
    return plotly_panels.draw(staged, columns=2)


def _fitted(trajectory: xr.Dataset) -> xr.Dataset:
    if "model_fit_refused" in trajectory.attrs:
        raise NotMeasuredError(trajectory.attrs["model_fit_refused"])
    return as_trajectory(trajectory, REQUIRES)


def _panels(trajectory: xr.Dataset, stage: Stage, suffix: str = "") -> list[Panel]:
    C = number_of_classes(trajectory)
    values = stage.vector("gram_eigenvalues")
    power = stage.vector("gram_gradient_power")
    positive = values[values > 1e-6 * values[0]]
    spectrum = [Curve("measured", np.arange(1, len(positive) + 1), positive, BLACK, "points")]
    shares = [Curve("measured", np.arange(1, len(power) + 1), power, BLACK, "points")]
    edges = []
    for name, label, edge, colour, symbol in _FITS:
        outliers = stage.vector(f"{name}_outliers")[: len(values)]
        cumulative = stage.vector(f"{name}_gradient_power")[: len(values)]
        ranks = np.arange(1, len(outliers) + 1)
        spectrum.append(Curve(label, ranks, outliers, colour, "points", symbol=symbol))
        shares.append(Curve(label, ranks, cumulative, colour, "points", symbol=symbol))
        edges.append(Level(stage.number(f"{name}_edge"), edge))
    return [
        Panel(
            title=f"G{suffix}",
            xlabel="rank j",
            ylabel="λ<sub>j</sub> (loss/weight²)",
            curves=spectrum,
            levels=edges,
            log_y=True,
        ),
        Panel(
            title=f"Gradient{suffix}",
            xlabel="eigenvectors k",
            ylabel="share of ‖g‖²",
            curves=shares,
            levels=[Level(C - 0.5, "C − 1", upright=True)],
            ylim=(0, 1.04),
        ),
    ]
