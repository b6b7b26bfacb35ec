"""What all theories of a landscape share: predictions given probabilities, labels and centroids."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int64

from landscope.random_model.loaded_curvature import LoadedCurvature
from landscope.random_model.outliers import Outliers, Residuals
from landscope.random_model.softmax_curvature import softmax_errors


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

    def share_below(self, x: Float64[np.ndarray, " x"]) -> Float64[np.ndarray, " x"]:
        """Share of its eigenvalues below x > 0."""


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
        sums_to_one = p.ndim == 2 and p.shape[1] > 1 and len(p) > 0 and np.allclose(p.sum(1), 1)
        if not sums_to_one or not (p >= 0).all():
            raise ValueError(
                f"probabilities of shape {p.shape} must be one or more rows of at least two "
                "numbers that are not negative and sum to 1"
            )
        N, C = p.shape
        if (
            labels.shape != (N,)
            or labels.dtype.kind not in "iu"
            or not ((labels >= 0) & (labels < C)).all()
        ):
            raise ValueError(
                f"labels of shape {labels.shape} must be {N} whole numbers, "
                f"classes from 0 to {C - 1}"
            )
        symmetric = K.shape in ((C, C), (C * C, C * C)) and np.isfinite(K).all()
        if not symmetric or np.abs(K - K.T).max() > 1e-5 * np.abs(K).max():
            raise ValueError(
                f"K of shape {K.shape} must be a symmetric matrix of finite numbers "
                f"of order {C} or {C * C}"
            )

    @property
    @abstractmethod
    def bulk(self) -> Bulk:
        """The spectrum of the residuals by themselves."""

    @property
    @abstractmethod
    def _residuals(self) -> Residuals:
        """The residuals around the centroids."""

    @abstractmethod
    def _gradient_norm(self, errors: Float64[np.ndarray, "N C"]) -> float:
        """Root mean square of ‖g‖ for given errors r^μ."""

    @cached_property
    def gradient_norm(self) -> float:
        """Root mean square of ‖g‖, ‖g‖² ≈ r̄ᵀK r̄ + (σ_E²/N²) Σ_μ ‖r^μ‖²."""
        unit, errors = self._unit_errors
        return unit * self._gradient_norm(errors)

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
        return softmax_errors(self.probabilities, self.labels)

    @cached_property
    def _unit_errors(self) -> tuple[float, Float64[np.ndarray, "N C"]]:
        """The largest error, and all errors in units of it: their squares stay in range."""
        unit = float(np.abs(self._errors).max())
        return unit, self._errors / unit if unit > 0 else self._errors

    @property
    def edge(self) -> float:
        """Right edge of the bulk."""
        return self.bulk.edge

    @property
    def atom_at_zero(self) -> float:
        """Share of the D eigenvalues that are zero for want of examples or directions."""
        return self.bulk.atom_at_zero

    def density(self, x: Float64[np.ndarray, " x"]) -> Float64[np.ndarray, " x"]:
        """Density of the bulk at x > 0; with `atom_at_zero` its integral is 1.

        The law of the eigenvalues that are no outliers. Where classes are frozen much of it lies
        many decades below the edge, and for D ≫ NC it is a comb: `share_below` has its integral.
        """
        return self.bulk.density(x)

    def share_below(self, x: Float64[np.ndarray, " x"]) -> Float64[np.ndarray, " x"]:
        """Share of the bulk's eigenvalues below x > 0, those that are zero among them."""
        return self.bulk.share_below(x)

    @property
    def outliers(self) -> Float64[np.ndarray, " n"]:
        """Eigenvalues outside the bulk, descending."""
        return self._outliers.values

    @cached_property
    def gradient_power(self) -> Float64[np.ndarray, " n"]:
        """Share (v_j·g)²/‖g‖² of the gradient's squared length in each outlier; not cumulative.

        NaN where the gradient is zero: no error r^μ is left above the least of all numbers.
        """
        _, errors = self._unit_errors
        norm = self._gradient_norm(errors)
        if norm == 0:
            return np.full(len(self.outliers), np.nan)
        components = self._outliers.gradient_components(errors)
        # They are means of their own: one part in D, and rounding, may take them beyond ‖g‖².
        return components / max(norm**2, components.sum())

    @property
    def outlier_power(self) -> float:
        """Share of the gradient in all outliers together; NaN where the gradient is zero."""
        return float(self.gradient_power.sum()) if self.gradient_norm > 0 else np.nan
