"""Isotropic residuals around given centroids, as the outliers' equation sees them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from landscope.random_model.bulk import IsotropicBulk
from landscope.random_model.outliers import Resolvent


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
    """

    bulk: IsotropicBulk
    K: Float64[np.ndarray, "GC GC"]

    @property
    def edge(self) -> float:
        """Right edge of the bulk."""
        return self.bulk.edge

    @cached_property
    def _root(self) -> Float64[np.ndarray, "GC GC"]:
        values, vectors = np.linalg.eigh(self.K)
        return vectors * np.sqrt(np.maximum(values, 0.0))

    def at(self, z: float) -> Resolvent:
        """Resolvent at z: every direction of weight space has the same weight −g(z)."""
        g, slope = self.bulk.resolvent(z)
        a = self.bulk.sigma_e**2 / self.bulk.num_examples
        with np.errstate(invalid="ignore"):  # at the edge the slope is infinite, and not asked for
            gram_slope = -slope * self.K
        return Resolvent(
            root=np.sqrt(-g) * self._root, gram_slope=gram_slope, load=a * g, load_slope=a * slope
        )
