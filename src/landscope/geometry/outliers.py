"""How many eigenvalues stand clear of the bulk: the largest gap against the fitted bulk edge."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ai_zeros

LEAST_BULK = 6
"""Eigenvalues below the gap that the edge is fitted to, at least."""

LEAST_GAP = 4.0
"""Gap, in units of the edge's own spacing and scatter, from which an eigenvalue is an outlier."""


@dataclass(frozen=True)
class Outliers:
    """Outliers above the bulk of a spectrum.

    Attributes
    ----------
    count : int
        Eigenvalues above the gap.
    bulk_edge : float
        Fitted right edge of the bulk, in the eigenvalues' units; NaN with too few eigenvalues.
    gap : float
        Distance of the lowest outlier from the edge, in units of the edge's spacing and scatter;
        the largest such distance where none reaches the threshold of 4.
    """

    count: int
    bulk_edge: float
    gap: float


def find_outliers(eigenvalues: Float[np.ndarray, " k"]) -> Outliers:
    """Count the eigenvalues that stand clear of the bulk.

    Parameters
    ----------
    eigenvalues : array, shape (k,)
        The largest ones, descending, at least six of them from the bulk.

    Returns
    -------
    Outliers
        Number, fitted edge and gap. With fewer than seven eigenvalues nothing can be fitted.

    Notes
    -----
    At the soft edge of a random matrix the i-th eigenvalue lies near E − s a_i, with −a_i the
    zeros of the Airy function (Tracy & Widom 1994, doi:10.1007/BF02100489). For each j, edge E_j
    and spacing s_j are fitted to the eigenvalues below the j-th; the gap is (λ_j − E_j) over
    s_j plus the scatter of the fit, and the number of outliers is the j with the largest gap, if
    that exceeds 4. Nothing is assumed about the number of classes.

    Examples
    --------
    >>> import numpy as np
    >>> bulk = np.linalg.eigvalsh(np.cov(np.random.default_rng(0).normal(size=(200, 400))))[::-1]
    >>> find_outliers(np.concatenate([[9.0, 6.0, 5.0], bulk[:15]])).count
    3
    """
    k = len(eigenvalues)
    if k < LEAST_BULK + 1:
        return Outliers(0, float("nan"), float("nan"))
    fits = [_fit_edge(eigenvalues[j:]) for j in range(1, k - LEAST_BULK + 1)]
    gaps = [(value - edge) / scale for value, (edge, scale) in zip(eigenvalues, fits, strict=False)]
    best = int(np.argmax(gaps))
    if gaps[best] > LEAST_GAP and eigenvalues[best] > 0:
        return Outliers(best + 1, fits[best][0], float(gaps[best]))
    return Outliers(0, _fit_edge(eigenvalues)[0], float(gaps[best]))


def _fit_edge(bulk: Float[np.ndarray, " k"]) -> tuple[float, float]:
    """Edge E of λ_i = E − s a_i by least squares, and the spacing s plus the scatter of the fit."""
    zeros = ai_zeros(len(bulk))[0]
    law = np.stack([np.ones_like(zeros), zeros], axis=1)
    (edge, spacing), *_ = np.linalg.lstsq(law, bulk, rcond=None)
    scatter = np.sqrt(np.mean((law @ (edge, spacing) - bulk) ** 2))
    tiny = np.finfo(np.float64).eps * np.abs(bulk).max() + np.finfo(np.float64).tiny
    return float(edge), float(max(abs(spacing) + scatter, tiny))
