"""The density of curvature: bulk, outliers, and the edge between them."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.panel import Curve, Level, Panel
from landscope.figures.stages import Stage, as_trajectory, present, stages
from landscope.figures.style import BAND, MUTED, OPERATOR_COLOURS, OPERATOR_SYMBOLS, VERMILLION

TITLE = "Spectrum: the bulk of the curvature and its outliers"
HOW_TO_READ = (
    "The curve is the density of eigenvalues of the Hessian H and of its G-term on a logarithmic "
    "scale, drawn where they lie too dense to tell apart; each stick is one eigenvalue, exactly as "
    "high as it lifts the density, red for an outlier, grey for one that stands alone below them."
)
EXPECTED = (
    "The abstract counts exactly C directions of high positive curvature; the random model of "
    "Fig. 5 has a bulk and C − 1 outliers. Its caption adds that mean logit gradients of unequal "
    "length give C, data not shown: in the model as defined they cannot, since the mean part "
    "enters through S<sup>T</sup>(1⊗c) and S<sup>T</sup>1 = 0, which leaves rank C − 1. Real "
    "networks can show more: means that depend on the true class add a second, smaller group. The "
    "paper shows no negative eigenvalues (the model has H = G); a real H has them, through R."
)
DEFINITIONS = (
    ("L = (1/N) Σ<sub>μ</sub> −log p<sup>μ</sup><sub>y</sub>", "loss, the mean over N examples"),
    ("H = ∂²L/∂W² = G + R", "Hessian"),
    (
        "G = (1/N) Σ<sub>μ</sub> J<sup>μT</sup>M<sup>μ</sup>J<sup>μ</sup>",
        "G-term, M = diag(p) − pp<sup>T</sup> = SS<sup>T</sup>, J<sub>k</sub> = ∂z<sub>k</sub>/∂W",
    ),
    (
        "ρ(λ) = (1/D) Σ<sub>i</sub> φ<sub>σ</sub>(λ − λ<sub>i</sub>)",
        "density, seen through a Gaussian kernel of width σ; a stick is φ<sub>σ</sub>(0)/D high, "
        "and what is known singly is no part of the curve",
    ),
    (
        "outlier",
        "eigenvalue above the largest gap, in units of the spacing at the fitted bulk edge; one "
        "that lies just beyond the edge need not be one",
    ),
)
REQUIRES = (
    "hessian_density",
    "hessian_density_grid",
    "hessian_density_width",
    "hessian_eigenvalues",
    "num_params",
)

# Points that a drawn density is thinned to.
_POINTS = 500


def figure(trajectory: xr.Dataset) -> Figure:
    """Draw H above G at four stages.

    Parameters
    ----------
    trajectory
        Measurements along the dimension `step`, or a single snapshot.

    Returns
    -------
    matplotlib.figure.Figure
    """
    trajectory = as_trajectory(trajectory, REQUIRES)
    columns = [_panels(trajectory, stage, named=True) for stage in stages(trajectory, at_most=4)]
    return static.draw(list(zip(*columns, strict=True)), caption=_caption(trajectory))


def interactive(trajectory: xr.Dataset) -> go.Figure:
    """Draw H beside G, with a slider over the stages."""
    trajectory = as_trajectory(trajectory, REQUIRES)
    staged = [(stage.label, _panels(trajectory, stage)) for stage in stages(trajectory)]
    return plotly_panels.draw(staged, columns=2, caption=_caption(trajectory))


def _panels(trajectory: xr.Dataset, stage: Stage, named: bool = False) -> list[Panel]:
    operators = [
        operator
        for operator in ("hessian", "gauss_newton")
        if present(trajectory, f"{operator}_density", f"{operator}_density_width")
    ]
    limits = _limits(trajectory, operators)
    return [_panel(stage, operator, limits, named) for operator in operators]


def _panel(stage: Stage, operator: str, limits: tuple[float, float], named: bool) -> Panel:
    symbol, colour = OPERATOR_SYMBOLS[operator], OPERATOR_COLOURS[operator]
    grid, density, error = thinned(
        stage.vector(f"{operator}_density_grid"),
        density_of_the_rest(stage, operator),
        stage.vector(f"{operator}_density_stderr"),
    )
    outliers, others = _outliers(stage, operator), _others(stage, operator)
    height = _stick_height(stage.number("num_params"), stage.number(f"{operator}_density_width"))
    edge = stage.number(f"{operator}_bulk_edge")
    return Panel(
        title=f"{symbol}, {stage.label}" if named else f"{symbol}",
        xlabel="λ (loss/weight²)",
        ylabel="density ρ(λ) (weight²/loss)",
        curves=[
            Curve(f"density of {symbol}", grid, density, colour, error=BAND * error),
            Curve(
                "single eigenvalues",
                others,
                np.full_like(others, height),
                MUTED,
                kind="sticks",
                hover=[f"λ = {value:.4g}" for value in others],
            ),
            Curve(
                "outliers",
                outliers,
                np.full_like(outliers, height),
                VERMILLION,
                kind="sticks",
                hover=[f"λ<sub>{i + 1}</sub> = {value:.4g}" for i, value in enumerate(outliers)],
            ),
        ],
        levels=[Level(edge, "bulk edge", upright=True)] if np.isfinite(edge) else [],
        log_y=True,
        ylim=limits,
    )


def thinned(
    grid: np.ndarray, density: np.ndarray, error: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keep the points of a density that are evenly spaced along its curve on a logarithmic scale.

    Peaks of single eigenvalues are narrow: even spacing along the axis would cut them.

    Parameters
    ----------
    grid, density, error
        Shape (m,); an empty `error` counts as zero.

    Returns
    -------
    tuple of numpy.ndarray
        The same three, at most 500 points each.
    """
    error = error if error.size else np.zeros_like(density)
    if density.size <= _POINTS:
        return grid, density, error
    height = np.log10(np.maximum(density, 1e-9 * density.max()))
    steps = np.hypot(np.diff(grid) / np.ptp(grid), np.diff(height) / max(np.ptp(height), 1e-9))
    length = np.concatenate([[0.0], np.cumsum(steps)])
    kept = np.unique(np.searchsorted(length, np.linspace(0, length[-1], _POINTS)))
    return grid[kept], density[kept], error[kept]


def density_of_the_rest(stage: Stage, operator: str) -> np.ndarray:
    """Take the eigenvalues that are known singly, and drawn as sticks, out of a density.

    Parameters
    ----------
    stage
        Holds the density.
    operator
        "hessian" or "gauss_newton".

    Returns
    -------
    numpy.ndarray
        Shape (m,), on the grid of the density: of n single eigenvalues, its integral is 1 − n/D.
    """
    grid, width = (
        stage.vector(f"{operator}_density_grid"),
        stage.number(f"{operator}_density_width"),
    )
    distances = (grid[:, None] - stage.vector(f"{operator}_single_eigenvalues")) / width
    height = _stick_height(stage.number("num_params"), width)
    sticks = height * np.exp(-0.5 * distances**2).sum(axis=1)
    return np.maximum(stage.vector(f"{operator}_density") - sticks, 0.0)


def _outliers(stage: Stage, operator: str) -> np.ndarray:
    values, count = (
        stage.vector(f"{operator}_eigenvalues"),
        stage.number(f"{operator}_num_outliers"),
    )
    if np.isfinite(count):
        return values[: int(count)]
    edge = stage.number(f"{operator}_bulk_edge")
    return values[values > edge] if np.isfinite(edge) else values


def _others(stage: Stage, operator: str) -> np.ndarray:
    """Eigenvalues that are known singly, and are no outliers."""
    values, outliers = stage.vector(f"{operator}_single_eigenvalues"), _outliers(stage, operator)
    return values[values < outliers.min() * (1 - 1e-3)] if outliers.size else values


def _stick_height(num_params: float, width: float) -> float:
    return 1 / (num_params * width * np.sqrt(2 * np.pi))


def _limits(trajectory: xr.Dataset, operators: list[str]) -> tuple[float, float]:
    widths = [trajectory[f"{operator}_density_width"].max().item() for operator in operators]
    peaks = [trajectory[f"{operator}_density"].max().item() for operator in operators]
    num_params = trajectory["num_params"].max().item()
    return _stick_height(num_params, max(widths)) / 20, 3 * max(peaks)


def _caption(trajectory: xr.Dataset) -> str:
    widths = np.concatenate(
        [
            trajectory[f"{operator}_density_width"].values.ravel()
            for operator in ("hessian", "gauss_newton")
            if f"{operator}_density_width" in trajectory
        ]
    )
    narrowest, widest = (f"{width:.2g}" for width in (np.nanmin(widths), np.nanmax(widths)))
    sigma = narrowest if narrowest == widest else f"{narrowest} to {widest}"
    return (
        f"Gaussian kernel, σ = {sigma} loss/weight². Bands: ± {BAND:g} standard errors of the "
        "smoothed curve over random probes. Negative eigenvalues: left of 0."
    )
