"""The spectra of a snapshot as histograms: how many eigenvalues lie where."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.integrate import cumulative_trapezoid

from landscope.figures.spectrum import density_of_the_rest
from landscope.figures.stages import Stage, as_trajectory, present, stages

# Weights & Biases takes 512 at the most.
_BINS = 256


@dataclass(frozen=True)
class Histogram:
    """Numbers of eigenvalues between edges.

    Attributes
    ----------
    counts
        Shape (n,); not whole, since a density is an estimate.
    edges
        Ascending, shape (n + 1,).
    """

    counts: np.ndarray
    edges: np.ndarray


def histograms(snapshot: xr.Dataset) -> dict[str, Histogram]:
    """Count the eigenvalues of H and of G between evenly spaced edges.

    Parameters
    ----------
    snapshot
        What was measured at one step.

    Returns
    -------
    dict of str to Histogram
        ``landscope/hessian_spectrum`` and ``landscope/gauss_newton_spectrum``, as far as their
        densities were measured, each D in total.

    Notes
    -----
    Of D eigenvalues, the n that are known singly count as one each. The other D − n are spread as
    the density without them, through its Gaussian kernel.

    Examples
    --------
    >>> grid = np.linspace(-1, 1, 201)
    >>> bulk = np.exp(-0.5 * (grid / 0.2) ** 2) / (0.2 * np.sqrt(2 * np.pi))
    >>> snapshot = xr.Dataset({"num_params": 50, "hessian_density_width": 0.2})
    >>> snapshot = snapshot.assign(hessian_density=("grid", bulk))
    >>> snapshot = snapshot.assign(hessian_density_grid=("grid", grid))
    >>> histograms(snapshot)["landscope/hessian_spectrum"].counts.sum().round(6)
    np.float64(50.0)
    """
    trajectory = as_trajectory(snapshot)
    (stage,) = stages(trajectory)
    return {
        f"landscope/{operator}_spectrum": _counted(stage, operator)
        for operator in ("hessian", "gauss_newton")
        if present(trajectory, f"{operator}_density", f"{operator}_density_width", "num_params")
    }


def _counted(stage: Stage, operator: str) -> Histogram:
    grid = stage.vector(f"{operator}_density_grid")
    single = stage.vector(f"{operator}_single_eigenvalues")
    shown = np.concatenate([grid, single])
    edges = np.linspace(shown.min(), shown.max(), _BINS + 1)
    counts = np.histogram(single, edges)[0].astype(float)
    rest = stage.number("num_params") - single.size
    below = cumulative_trapezoid(density_of_the_rest(stage, operator), grid, initial=0)
    if below[-1] > 0:
        # The grid ends where the kernel of the last eigenvalue has a millionth of its mass left.
        counts += rest * np.diff(np.interp(edges, grid, below / below[-1]))
    return Histogram(counts, edges)
