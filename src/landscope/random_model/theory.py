"""What random matrix theory predicts of a random landscape, conditional on its probabilities."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64

from landscope.random_model.bulk import IsotropicBulk
from landscope.random_model.conditional_theory import ConditionalTheory
from landscope.random_model.isotropic import IsotropicResiduals, bulk_beside
from landscope.random_model.no_bulk import NoBulk
from landscope.random_model.outliers import Outliers
from landscope.random_model.softmax_curvature import curvature_eigenvalues

ROUNDING = 1e-6
"""Share of all dimensions below which the outliers' own are left in the bulk."""


@dataclass(frozen=True)
class Theory(ConditionalTheory):
    r"""Deterministic equivalents of the Hessian's spectrum and of its gradient's alignment.

    Conditional on probabilities, labels and centroids; the residuals are averaged over. Errors at
    N=300, C=10, D=1000 are 0.5–1 % for outliers well outside the bulk and 2–4 % near it; they
    fall as N and D grow.

    Parameters
    ----------
    probabilities : ndarray, shape (N, C)
        p^μ.
    labels : ndarray, shape (N,)
        Classes, 0 to C − 1.
    K : ndarray, shape (C, C) or (C², C²)
        Gram matrix of the centroids c_k, or of class-conditional centroids c_{k,a} at row a·C + k.
    sigma_e : float
        Root mean square length σ_E of the residuals.
    num_params : float
        D.

    Raises
    ------
    ValueError
        For shapes that do not fit, probabilities that do not sum to one, labels that are no
        classes, or a K that is not symmetric.

    Notes
    -----
    See `landscope.random_model.bulk`, `landscope.random_model.outliers` and, for the model,
    Fort & Ganguli 2019, arXiv:1910.05929, which has no theory of its own.

    Examples
    --------
    >>> import landscope as ls
    >>> land = ls.RandomModel().sample(seed=0)
    >>> theory = land.theory()
    >>> len(theory.outliers)
    9
    >>> bool(abs(theory.outliers[0] / land.eigenvalues()[0] - 1) < 0.03)
    True
    """

    sigma_e: int | float
    num_params: int | float

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("sigma_e", 0.0), ("num_params", 1.0)):
            _check_size(name, getattr(self, name), least)

    @cached_property
    def curvatures(self) -> Float64[np.ndarray, " n"]:
        """The eigenvalues m_i of all M^μ but the zeros of their null vectors 1."""
        return curvature_eigenvalues(self.probabilities).ravel()

    def _beside(self, num_outliers: int) -> IsotropicResiduals:
        """The residuals in the dimensions that this many outliers leave to the bulk."""
        D, N, sigma_e = float(self.num_params), len(self.labels), float(self.sigma_e)
        bulk = bulk_beside(num_outliers, self.curvatures, sigma_e, D, N)
        return IsotropicResiduals(bulk, self.K, sigma_e**2 / N / D)

    @cached_property
    def _residuals(self) -> IsotropicResiduals:
        most, taken = min(len(self.K), int(min(float(self.num_params), 1e9))), 0
        # Every outlier takes a dimension from the bulk, which may let another one leave.
        while (count := Outliers(self._curvature, self._beside(taken)).count) > taken:
            taken = min(count, most)
            if taken == most:
                break
        return self._beside(taken)

    @property
    def bulk(self) -> IsotropicBulk | NoBulk:
        """The spectrum of the residuals in the dimensions that outliers leave."""
        return self._residuals.bulk

    @cached_property
    def detachment(self) -> Float64[np.ndarray, " GC"]:
        """Factor on the centroids' lengths at which each branch leaves the bulk.

        Ascending; below 1 for those that have left it, infinite for those that never do.
        """
        heights = np.zeros(len(self.K))
        dimensions = min(float(self.num_params), len(heights))
        for j in range(int(dimensions)):
            # Beside many dimensions the few that outliers take do not count.
            if j == 0 or len(heights) > ROUNDING * float(self.num_params):
                branches = Outliers(self._curvature, self._beside(j)).branches_at_edge
            heights[j] = branches[j]
        with np.errstate(divide="ignore"):
            return np.maximum.accumulate(heights**-0.5)

    def _gradient_norm(self, errors: Float64[np.ndarray, "N C"]) -> float:
        stacked = self._curvature.mean_by_group(errors)
        noise = self.sigma_e * np.sqrt(np.square(errors).sum()) / len(errors)
        return float(np.hypot(np.sqrt(max(stacked @ self.K @ stacked, 0.0)), noise))

    @cached_property
    def trace(self) -> float:
        """Mean of Tr H, exactly Tr(B₀K) + σ_E² Tr M̄, B₀ the mean of M by group."""
        mean = self._curvature.B(0.0)
        return float(np.sum(mean * self.K) + self.sigma_e**2 * np.trace(mean))

    @cached_property
    def frobenius_norm(self) -> float:
        r"""Root mean square of ‖H‖_F, exactly.

        .. math:: E‖H‖_F^2 = \mathrm{tr}(B_0K)^2 + \frac{2σ_E^2}{D} \mathrm{tr}M̄\,\mathrm{tr}(B_0K)
            + \frac{σ_E^4}{D} (\mathrm{tr}M̄)^2
            + \frac1N\Big(1 + \frac1D\Big) \big[2σ_E^2 \mathrm{tr}(\overline{M^2}K)
            + σ_E^4 \mathrm{tr}\overline{M^2}\big].
        """
        # In units of the largest squared length, so that its square stays in range.
        unit = max(float(np.abs(self.K).max()), float(self.sigma_e) ** 2)
        if unit == 0:
            return 0.0
        N, D, K = len(self.labels), float(self.num_params), self.K / unit
        variance = float(self.sigma_e) ** 2 / unit
        mean, square = self._curvature.B(0.0), self._curvature.mean_square()
        signal, noise = mean @ K, variance * np.trace(mean)
        single = 2 * variance * np.sum(square * K) + variance**2 * np.trace(square)
        total = np.sum(signal * signal.T) + (2 * np.trace(signal) + noise) * noise / D
        return float(unit * np.sqrt(max(total + (1 + 1 / D) * single / N, 0.0)))


def _check_size(name: str, value: Any, least: float) -> None:
    if not least <= value < np.inf:
        raise ValueError(f"{name} is {value!r}; it must be a finite number of at least {least:g}")
