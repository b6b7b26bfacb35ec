"""What one draw of the random model shows, beside what theory says of it."""

import numpy as np
import xarray as xr
from jaxtyping import Float64

from landscope.random_model import Landscape, RandomModel, Theory

BINS_PER_DECADE = 15
"""Of the histogram of eigenvalues, on a logarithmic axis."""

DETACHED = 2.0
"""Distance from the bulk's edge, in units of its Airy scale, from which an eigenvalue counts as
detached: the largest noise eigenvalue lies at −1.2 ± 1.3 of them (Tracy and Widom, β = 1)."""

NUM_AVERAGED = 8
"""Draws of probabilities and centroids that the predicted histogram is averaged over."""

_COMB = 100
"""D over the number of rows from which the bulk's density is a comb of single teeth."""

_LOWEST = 1e-5


def describe(model: RandomModel, seed: int, num_cosines: int | None = None) -> xr.Dataset:
    """Draw once and set the spectrum and the gradient beside the theory.

    Parameters
    ----------
    model : RandomModel
        What to draw from.
    seed : int
        Of the draw.
    num_cosines : int, optional
        How many eigenvectors the gradient is held against; at most 1000 of them if absent.

    Returns
    -------
    xarray.Dataset
        Along `rank` the eigenvalues, cosines and cumulative gradient power; along `outlier` the
        predicted positions and shares of the gradient; along `bin` the eigenvalues per e-fold of
        λ, drawn and predicted; scalars otherwise.

    Examples
    --------
    >>> from landscope.random_model import RandomModel
    >>> drawn = describe(RandomModel(num_classes=3, num_examples=40, num_params=60), seed=0)
    >>> int(drawn.num_outliers), int(drawn.num_outliers_theory)
    (2, 2)
    """
    land = model.sample(seed)
    theory = land.theory()
    eigenvalues = land.eigenvalues()
    k = min(num_cosines or 1000, len(eigenvalues))
    cosines = np.full(len(eigenvalues), np.nan)
    cosines[:k] = land.cosines(k)
    edges = _bin_edges(eigenvalues, theory)
    width = np.log(edges[1] / edges[0])
    trace, norm = land.trace(), land.frobenius_norm()
    return xr.Dataset(
        {
            "eigenvalue": ("rank", eigenvalues, _named("eigenvalue λ_j of the Hessian")),
            "cosine": ("rank", cosines, _named("cosine of gradient and eigenvector")),
            "gradient_power": ("rank", np.cumsum(cosines**2), _named("cumulative share of ‖g‖²")),
            "outlier_theory": ("outlier", theory.outliers, _named("predicted outlier")),
            "outlier_power_theory": (
                "outlier",
                theory.gradient_power,
                _named("predicted share of ‖g‖² in the outlier"),
            ),
            "count_density": (
                "bin",
                np.histogram(eigenvalues, edges)[0] / width,
                _named("eigenvalues per e-fold of λ, drawn"),
            ),
            "count_density_theory": (
                "bin",
                _predicted_counts(model, edges, seed) / width,
                _named("eigenvalues of the bulk per e-fold of λ, predicted"),
            ),
            "edge_theory": ((), theory.edge, _named("right edge of the bulk, predicted")),
            "num_outliers": (
                (),
                num_detached(eigenvalues, theory),
                _named("eigenvalues beyond the bulk's edge"),
            ),
            "num_outliers_theory": ((), len(theory.outliers), _named("outliers, predicted")),
            "trace": ((), trace, _named("Tr H")),
            "trace_theory": ((), theory.trace, _named("Tr H, predicted")),
            "trace_over_norm": ((), trace / norm if norm > 0 else np.nan, _named("Tr H/‖H‖_F")),
            "trace_over_norm_theory": (
                (),
                theory.trace / theory.frobenius_norm if theory.frobenius_norm > 0 else np.nan,
                _named("Tr H/‖H‖_F, predicted"),
            ),
        },
        attrs={"num_classes": model.num_classes, "num_params": float(model.num_params)},
        coords={
            "rank": np.arange(1, len(eigenvalues) + 1),
            "outlier": np.arange(1, len(theory.outliers) + 1),
            "bin": np.arange(len(edges) - 1),
            "bin_left": ("bin", edges[:-1], _named("left end of the bin of eigenvalues")),
            "bin_right": ("bin", edges[1:], _named("right end of the bin of eigenvalues")),
        },
    )


def num_detached(eigenvalues: Float64[np.ndarray, " n"], theory: Theory) -> int:
    """Count the drawn eigenvalues that lie beyond the bulk's edge by more than it fluctuates."""
    reach = theory.edge + DETACHED * theory.bulk.airy_scale
    rounding = 1e-12 * float(eigenvalues[0])  # all there is to exceed where σ_E = 0
    return int(np.sum(eigenvalues > max(reach, rounding)))


def top_power(land: Landscape, k: int) -> float:
    """Share of ‖g‖² in the top k eigenvectors."""
    return float(land.gradient_power(min(k, len(land.eigenvalues())))[-1])


def _bin_edges(eigenvalues: Float64[np.ndarray, " n"], theory: Theory) -> Float64[np.ndarray, " b"]:
    scale = theory.edge or eigenvalues[0] or 1.0
    above = eigenvalues[eigenvalues > _LOWEST * scale]
    low = 0.7 * above[-1] if len(above) else _LOWEST * scale
    high = 1.6 * max(eigenvalues[0], scale)
    return np.geomspace(low, high, 1 + int(np.ceil(BINS_PER_DECADE * np.log10(high / low))))


def _predicted_counts(
    model: RandomModel, edges: Float64[np.ndarray, " b"], seed: int
) -> Float64[np.ndarray, " bins"]:
    """Eigenvalues of the bulk in each bin, averaged over the probabilities."""
    averaged = model.theory(NUM_AVERAGED, seed)
    curvatures = np.concatenate([draw.curvatures for draw in averaged.draws])
    num_draws, num_rows = len(averaged.draws), len(averaged.draws[0].curvatures)
    if model.num_params > _COMB * num_rows:
        # Single teeth: each row of A₀ makes the eigenvalue a·m_i by itself.
        teeth = model.sigma_e**2 / model.num_examples * curvatures
        return np.histogram(teeth, edges)[0] / num_draws
    return model.num_params * np.diff(averaged.share_below(edges))


def _named(long_name: str) -> dict[str, str]:
    return {"long_name": long_name}
