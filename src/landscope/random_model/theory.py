"""What random matrix theory predicts of a random landscape, conditional on its probabilities."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64

from landscope.random_model.bulk import IsotropicBulk
from landscope.random_model.conditional_theory import ConditionalTheory
from landscope.random_model.isotropic import IsotropicResiduals


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
    def bulk(self) -> IsotropicBulk:
        """The spectrum of the residuals by themselves."""
        m, _ = self._curvature.eigenpairs
        return IsotropicBulk(m.ravel(), float(self.sigma_e), self.num_params, len(m))

    @cached_property
    def _residuals(self) -> IsotropicResiduals:
        return IsotropicResiduals(self.bulk, self.K)

    @property
    def detachment(self) -> Float64[np.ndarray, " GC"]:
        """Factor on the centroids' lengths at which each branch leaves the bulk.

        Ascending; below 1 for those that have left it, infinite for those that never do.
        """
        with np.errstate(divide="ignore"):
            return self._outliers.detachment

    @cached_property
    def gradient_norm(self) -> float:
        """Root mean square of ‖g‖, ‖g‖² ≈ r̄ᵀK r̄ + (σ_E²/N²) Σ_μ ‖r^μ‖²."""
        stacked = self._curvature.loaded_errors(self._errors, 0.0)
        noise = self.sigma_e**2 * np.square(self._errors).sum() / len(self._errors) ** 2
        return float(np.sqrt(stacked @ self.K @ stacked + noise))

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
        N, D, variance = len(self.probabilities), float(self.num_params), self.sigma_e**2
        mean, square = self._curvature.B(0.0), self._curvature.function(np.square)
        signal, noise = mean @ self.K, variance * np.trace(mean)
        single = 2 * variance * np.sum(square * self.K) + variance**2 * np.trace(square)
        total = np.sum(signal * signal.T) + (2 * np.trace(signal) + noise) * noise / D
        return float(np.sqrt(total + (1 + 1 / D) * single / N))


def _check_size(name: str, value: Any, least: float) -> None:
    if not least <= value < np.inf:
        raise ValueError(f"{name} is {value!r}; it must be a finite number of at least {least:g}")
