r"""Eigenvalues that leave the bulk: the transition of Baik, Ben Arous and Péché.

With centroids c of Gram matrix K = c cᵀ and residuals of Stieltjes transform g(z), an eigenvalue
z of the Hessian outside the bulk solves det(I + g(z) K B(z)) = 0 where

.. math:: B(z) = \frac1N \sum_μ M^μ (I + ℓ M^μ)^{-1}, \quad ℓ = σ_E^2 g(z)/N.

So an eigenvalue ν_j(z) of the positive matrix −g K^½ B K^½ is 1 there. Each branch falls from the
edge on: as many outliers as there are ν_j > 1 at the edge (Benaych-Georges & Nadakuditi 2011,
arXiv:1007.4149, for the transition). With class-conditional centroids K is the Gram matrix of all
c_{k,a} and B block diagonal over the classes a.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import brentq

from landscope.random_model.softmax_curvature import curvature_eigenpairs


@dataclass(frozen=True)
class Resolvent:
    """Centroids and residuals at one z right of the bulk, as the outliers' equation sees them.

    Attributes
    ----------
    root : ndarray, shape (GC, r)
        A root of the weighted Gram matrix of the centroids: root·rootᵀ = −g K for isotropic
        residuals.
    gram_slope : ndarray, shape (GC, GC)
        d/dz of that matrix.
    load, load_slope : float
        ℓ ≤ 0 and dℓ/dz in (I + ℓM)⁻¹; ℓ = σ_E² g/N for isotropic residuals.
    """

    root: Float64[np.ndarray, "GC r"]
    gram_slope: Float64[np.ndarray, "GC GC"]
    load: float
    load_slope: float


@runtime_checkable
class Residuals(Protocol):
    """Residuals of any law around given centroids."""

    @property
    def edge(self) -> float:
        """Right edge of the bulk that they make by themselves."""

    def at(self, z: float) -> Resolvent:
        """Resolvent at z, which is at least the edge."""


@dataclass(frozen=True)
class LoadedCurvature:
    """The examples' side of the equation: B(ℓ), its slope, and the errors h(ℓ).

    Parameters
    ----------
    probabilities : ndarray, shape (N, C)
        p^μ.
    groups : ndarray, shape (N,)
        Which set of centroids each example has, 0 to G − 1.
    num_groups : int
        G.
    """

    probabilities: Float64[np.ndarray, "N C"]
    groups: Int64[np.ndarray, " N"]
    num_groups: int

    @cached_property
    def eigenpairs(self) -> tuple[Float64[np.ndarray, "N r"], Float64[np.ndarray, "N C r"]]:
        """Eigenpairs of all M^μ."""
        return curvature_eigenpairs(self.probabilities)

    @cached_property
    def _by_group(
        self,
    ) -> list[tuple[Float64[np.ndarray, " nr"], Float64[np.ndarray, "C nr"]]]:
        """Eigenvalues, and eigenvectors side by side, of the examples in each group."""
        m, U = self.eigenpairs
        C = U.shape[1]
        members = [self.groups == group for group in range(self.num_groups)]
        return [(m[own].ravel(), U[own].transpose(1, 0, 2).reshape(C, -1)) for own in members]

    def function(
        self, f: Callable[[Float64[np.ndarray, " nr"]], Float64[np.ndarray, " nr"]]
    ) -> Float64[np.ndarray, "GC GC"]:
        """Block-diagonal matrix of the (1/N) Σ_{μ in group} f(M^μ), for f(0) = 0."""
        N, C = self.probabilities.shape
        blocks = np.zeros((self.num_groups, C, self.num_groups, C))
        for group, (m, U) in enumerate(self._by_group):
            blocks[group, :, group, :] = (U * (f(m) / N)) @ U.T
        return blocks.reshape(self.num_groups * C, self.num_groups * C)

    def B(self, load: float) -> Float64[np.ndarray, "GC GC"]:
        """B = (1/N) Σ M(I + ℓM)⁻¹."""
        return self.function(lambda m: m / _positive(1 + load * m))

    def B_slope(self, load: float) -> Float64[np.ndarray, "GC GC"]:
        """dB/dℓ = −(1/N) Σ M²(I + ℓM)⁻²."""
        return self.function(lambda m: -((m / _positive(1 + load * m)) ** 2))

    def loaded_errors(
        self, errors: Float64[np.ndarray, "N C"], load: float
    ) -> Float64[np.ndarray, " GC"]:
        """h = (1/N) Σ (I + ℓM)⁻¹ r, stacked by group."""
        m, U = self.eigenpairs
        N, C = self.probabilities.shape
        along = np.einsum("ncr,nc->nr", U, errors) * (load * m / _positive(1 + load * m))
        loaded = errors - np.einsum("ncr,nr->nc", U, along)
        h = np.zeros((self.num_groups, C))
        np.add.at(h, self.groups, loaded / N)
        return h.ravel()


@dataclass(frozen=True)
class Outliers:
    """The outliers' equation of given curvatures, centroids and residuals.

    Parameters
    ----------
    curvature : LoadedCurvature
        Of the examples.
    residuals : Residuals
        Of the logit gradients, around their centroids.
    """

    curvature: LoadedCurvature
    residuals: Residuals

    def branches(self, z: float) -> Float64[np.ndarray, " r"]:
        """Eigenvalues ν_j(z) of −g K^½ B K^½, descending."""
        at = self.residuals.at(z)
        return np.linalg.eigvalsh(at.root.T @ self.curvature.B(at.load) @ at.root)[::-1]

    @cached_property
    def _start(self) -> float:
        """Where branches begin: the edge, or without residuals a rounding of the largest."""
        return self.residuals.edge or 1e-12 * float(self.branches(1.0)[0])

    @cached_property
    def branches_at_edge(self) -> Float64[np.ndarray, " r"]:
        """Where the branches begin; above 1 for those that are outliers."""
        if self._start > 0:
            return self.branches(self._start)
        return np.zeros(len(self.branches(1.0)))  # neither centroids nor residuals

    @property
    def detachment(self) -> Float64[np.ndarray, " r"]:
        """Factor on the lengths of all centroids at which each branch reaches 1 at the edge."""
        if self._start == 0:  # neither centroids nor residuals
            return np.full(len(self.branches_at_edge), np.inf)
        at = self.residuals.at(self._start)
        rounding = 1e-12 * np.linalg.norm(at.root.T @ self.curvature.B(0.0) @ at.root)
        heights = self.branches_at_edge
        return np.where(heights > rounding, heights, 0.0) ** -0.5

    @cached_property
    def values(self) -> Float64[np.ndarray, " n"]:
        """The outliers, descending."""
        # All branches are followed together to a bracket of each, then each by itself.
        places, heights = [self._start], [self.branches_at_edge]
        while heights[-1][0] > 1:
            places.append(max(1.3, heights[-1][0] ** 0.5) * places[-1])
            heights.append(self.branches(places[-1]))
        table = np.array(heights)
        outliers = np.zeros(int(np.sum(table[0] > 1)))
        for j in range(len(outliers)):
            right = int(np.argmax(table[:, j] <= 1))
            low, high = places[right - 1], places[right]
            outliers[j] = brentq(lambda z, j=j: self.branches(z)[j] - 1, low, high, rtol=1e-12)
        return outliers

    def gradient_components(self, errors: Float64[np.ndarray, "N C"]) -> Float64[np.ndarray, " n"]:
        r"""Squared component of the gradient along each outlier's eigenvector.

        The residue of the gradient's resolvent at z: with w = (−gK)^½ v, v the eigenvector of
        branch ν_j at its crossing and h = (1/N) Σ_μ (I + ℓM^μ)⁻¹ r^μ,

        .. math:: (v_j·g)^2 = −(w^⊤ h)^2 / (dν_j/dz), \quad
            dν_j/dz = w^⊤ \frac{dB}{dz} w + (Bw)^⊤ \frac{d(−gK)}{dz} (Bw).

        Parameters
        ----------
        errors : ndarray, shape (N, C)
            r^μ = p^μ − y^μ.
        """
        squares = np.zeros(len(self.values))
        for j, z in enumerate(self.values):
            at = self.residuals.at(z)
            B = self.curvature.B(at.load)
            v = np.linalg.eigh(at.root.T @ B @ at.root).eigenvectors[:, -1 - j]
            w = at.root @ v
            slope = at.load_slope * (w @ self.curvature.B_slope(at.load) @ w)
            slope += w @ B @ at.gram_slope @ B @ w
            squares[j] = (w @ self.curvature.loaded_errors(errors, at.load)) ** 2 / -slope
        return squares


def _positive(x: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """1 + ℓm, which rounds to zero at the edge for the largest m and huge D."""
    return np.maximum(x, 1e-100)
