"""What all theories of a landscape share: predictions given probabilities, labels and centroids."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int64

from landscope.random_model.outliers import LoadedCurvature, Outliers, Residuals


@runtime_checkable
class Bulk(Protocol):
    """The spectrum that residuals make by themselves."""

    @property
    def edge(self) -> float:
        """Its right edge."""

    @property
    def atom_at_zero(self) -> float:
        """Share of the D eigenvalues that are zero."""

    def density(self, x: Float64[np.ndarray, " x"]) -> Float64[np.ndarray, " x"]:
        """Density at x > 0."""


@dataclass(frozen=True)
class ConditionalTheory(ABC):
    """Predictions for residuals of some law around given centroids.

    Parameters
    ----------
    probabilities : ndarray, shape (N, C)
        p^μ.
    labels : ndarray, shape (N,)
        Classes, 0 to C − 1.
    K : ndarray, shape (C, C) or (C², C²)
        Gram matrix of the centroids c_k, or of class-conditional centroids c_{k,a} at row a·C + k.
    """

    probabilities: Float64[np.ndarray, "N C"]
    labels: Int64[np.ndarray, " N"]
    K: Float64[np.ndarray, "GC GC"]

    def __post_init__(self) -> None:
        p, labels, K = self.probabilities, self.labels, self.K
        if p.ndim != 2 or p.shape[1] < 2 or not np.allclose(p.sum(1), 1) or not (p >= 0).all():
            raise ValueError(
                f"probabilities of shape {p.shape} must be rows of at least two numbers that are "
                "not negative and sum to 1"
            )
        N, C = p.shape
        if labels.shape != (N,) or not ((labels >= 0) & (labels < C)).all():
            raise ValueError(
                f"labels of shape {labels.shape} must be {N} classes from 0 to {C - 1}"
            )
        if K.shape not in ((C, C), (C * C, C * C)) or not np.allclose(K, K.T):
            raise ValueError(
                f"K of shape {K.shape} must be a symmetric matrix of order {C} or {C * C}"
            )

    @property
    @abstractmethod
    def bulk(self) -> Bulk:
        """The spectrum of the residuals by themselves."""

    @property
    @abstractmethod
    def _residuals(self) -> Residuals:
        """The residuals around the centroids."""

    @property
    @abstractmethod
    def gradient_norm(self) -> float:
        """Root mean square of ‖g‖, ‖g‖² ≈ r̄ᵀK r̄ + (σ_E²/N²) Σ_μ ‖r^μ‖²."""

    @cached_property
    def _curvature(self) -> LoadedCurvature:
        C = self.probabilities.shape[1]
        groups = self.labels if len(self.K) > C else np.zeros_like(self.labels)
        return LoadedCurvature(self.probabilities, groups, len(self.K) // C)

    @cached_property
    def _outliers(self) -> Outliers:
        return Outliers(self._curvature, self._residuals)

    @cached_property
    def _errors(self) -> Float64[np.ndarray, "N C"]:
        """r^μ = p^μ − y^μ."""
        return self.probabilities - np.eye(self.probabilities.shape[1])[self.labels]

    @property
    def edge(self) -> float:
        """Right edge of the bulk."""
        return self.bulk.edge

    @property
    def atom_at_zero(self) -> float:
        """Share of the D eigenvalues that are zero for want of examples or directions."""
        return self.bulk.atom_at_zero

    def density(self, x: Float64[np.ndarray, " x"]) -> Float64[np.ndarray, " x"]:
        """Density of the bulk at x > 0; with `atom_at_zero` its integral is 1."""
        return self.bulk.density(x)

    @property
    def outliers(self) -> Float64[np.ndarray, " n"]:
        """Eigenvalues outside the bulk, descending."""
        return self._outliers.values

    @cached_property
    def gradient_power(self) -> Float64[np.ndarray, " n"]:
        """Share (v_j·g)²/‖g‖² of the gradient's squared length in each outlier; not cumulative."""
        return self._outliers.gradient_components(self._errors) / self.gradient_norm**2
