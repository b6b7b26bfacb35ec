"""Isotropic residuals around given centroids, as the outliers' equation sees them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from landscope.random_model.bulk import IsotropicBulk
from landscope.random_model.loaded_curvature import SMALLEST
from landscope.random_model.no_bulk import NoBulk
from landscope.random_model.outliers import Resolvent


def bulk_beside(
    num_outliers: int | float,
    curvatures: Float64[np.ndarray, " n"],
    sigma_e: float,
    num_params: int | float,
    num_examples: int,
    weight: float = 1.0,
) -> IsotropicBulk | NoBulk:
    """The bulk in the dimensions that so many outliers leave to the residuals."""
    D, N = num_params, num_examples
    left = D - num_outliers
    if left > 0:
        return IsotropicBulk(curvatures, sigma_e * (left / D) ** 0.5, left, N, weight)
    return NoBulk(sigma_e**2 / N / D * weight * float(curvatures.sum()))


@dataclass(frozen=True)
class IsotropicResiduals:
    """Residuals E_k^μ ~ N(0, σ_E² I/D) around centroids of Gram matrix K.

    Parameters
    ----------
    bulk : IsotropicBulk
        What the residuals make by themselves.
    K : ndarray, shape (GC, GC)
        Gram matrix c cᵀ of the centroids. Eigenvalues below zero, which a debiased estimate can
        have, count as zero.
    noise_variance : float
        σ_E²/(ND), what a row's component along one direction has.
    """

    bulk: IsotropicBulk | NoBulk
    K: Float64[np.ndarray, "GC GC"]
    noise_variance: float

    @property
    def edge(self) -> float:
        """Right edge of the bulk."""
        return self.bulk.edge

    @cached_property
    def _root(self) -> Float64[np.ndarray, "GC GC"]:
        values, vectors = np.linalg.eigh(self.K)
        return vectors * np.sqrt(np.maximum(values, 0.0))

    @cached_property
    def _gram(self) -> Float64[np.ndarray, "GC GC"]:
        return self._root @ self._root.T

    def at(self, z: float) -> Resolvent:
        """Resolvent at z: every direction of weight space has the same weight −g(z)."""
        g, slope = self.bulk.scaled_resolvent(z)
        root = np.sqrt(-g) * self._root
        load = 0.0
        if self.bulk.edge > 0 and isinstance(self.bulk, IsotropicBulk):
            a = self.bulk.sigma_e**2 / self.bulk.num_examples
            load = max(a * g, -(1 - SMALLEST) / self.bulk.largest_curvature)
        with np.errstate(invalid="ignore"):  # at the edge the slope is infinite, and not asked for
            return Resolvent(
                root=root,
                gram_slope=slope * (-g * self._gram),
                load=load,
                load_slope=load * slope,
                noise=self.noise_variance / z * -slope,
            )
