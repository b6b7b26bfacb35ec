r"""Eigenvalues that leave the bulk: the transition of Baik, Ben Arous and Péché.

With centroids c of Gram matrix K = c cᵀ and residuals of Stieltjes transform g(z), an eigenvalue
z of the Hessian outside the bulk solves det(I + g(z) K B(z)) = 0 where

.. math:: B(z) = \frac1N \sum_μ M^μ (I + ℓ M^μ)^{-1}, \quad ℓ = σ_E^2 g(z)/N.

So an eigenvalue ν_j(z) of the positive matrix −g K^½ B K^½ is 1 there. Each branch falls from the
edge on: as many outliers as there are ν_j > 1 at the edge (Benaych-Georges & Nadakuditi 2011,
arXiv:1007.4149, for the transition). With class-conditional centroids K is the Gram matrix of all
c_{k,a} and B block diagonal over the classes a.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import scipy.linalg
from jaxtyping import Float64, Int64
from scipy.optimize import brentq

from landscope.random_model.bulk import LEAST
from landscope.random_model.loaded_curvature import LoadedCurvature

ROUNDING = 1e-13
"""Branches this much lower than the highest are rounding of it."""

FEW = 4
"""Outliers that are found one by one."""

DEGREES = 8, 16, 32
"""Of the polynomials by which more are found together."""

SETTLED = 1e-7
"""Change of a crossing from one interpolation to the next."""

MOST_WORK = 3e10
"""Cube of the order of K times the number of outliers, about one eigensolve for each."""


@dataclass(frozen=True)
class Resolvent:
    """Centroids and residuals at one z right of the bulk, as the outliers' equation sees them.

    Attributes
    ----------
    root : ndarray, shape (GC, r)
        A root of the weighted Gram matrix of the centroids: root·rootᵀ = −g K for isotropic
        residuals.
    gram_slope : ndarray, shape (GC, GC)
        d/d ln z of that matrix.
    load, load_slope : float
        ℓ ≤ 0 and dℓ/d ln z in (I + ℓM)⁻¹; ℓ = σ_E² g/N for isotropic residuals.
    noise : float
        Mean square of what the residuals' components along the centroids add to wᵀh, per mean
        of |(I + ℓM^μ)⁻¹ r^μ|².
    """

    root: Float64[np.ndarray, "GC r"]
    gram_slope: Float64[np.ndarray, "GC GC"]
    load: float
    load_slope: float
    noise: float = 0.0


@runtime_checkable
class Residuals(Protocol):
    """Residuals of any law around given centroids."""

    @property
    def edge(self) -> float:
        """Right edge of the bulk that they make by themselves."""

    def at(self, z: float) -> Resolvent:
        """Resolvent at z, which is at least the edge."""


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
        return np.linalg.eigvalsh(self._matrix(self.residuals.at(z)))[::-1]

    def _matrix(self, at: Resolvent) -> Float64[np.ndarray, "r r"]:
        return at.root.T @ self.curvature.B(at.load) @ at.root

    @cached_property
    def _start(self) -> float:
        """Where branches begin: the edge, or without residuals a rounding of the largest."""
        if self.residuals.edge > 0:
            return self.residuals.edge
        largest = float(self.branches(1.0)[0])
        return max(ROUNDING * largest, LEAST) if largest > LEAST else 0.0

    @cached_property
    def branches_at_edge(self) -> Float64[np.ndarray, " r"]:
        """Where the branches begin; above 1 for those that are outliers.

        Zero for those that are rounding of the first, as are all along null vectors of K and B.
        """
        if self._start == 0:  # neither centroids nor residuals
            return np.zeros(len(self.branches(1.0)))
        at = self.residuals.at(self._start)
        heights = np.linalg.eigvalsh(self._matrix(at))[::-1]
        # The spectral norm: squares of the Frobenius norm overflow beside a tiny edge.
        signal = np.linalg.norm(at.root.T @ self.curvature.B(0.0) @ at.root, 2)
        return np.where(heights > ROUNDING * max(heights[0], signal), heights, 0.0)

    @property
    def count(self) -> int:
        """Number of outliers."""
        return int(np.sum(self.branches_at_edge > 1))

    @cached_property
    def values(self) -> Float64[np.ndarray, " n"]:
        """The outliers, descending."""
        if self.count == 0:
            return np.zeros(0)
        order = len(self.branches_at_edge)
        if self.count * order**3 > MOST_WORK:
            raise ValueError(
                f"K is of order {order} and has {self.count} outliers, each of which takes an "
                f"eigensolve of that order; order³ times outliers may be {MOST_WORK:.0e}: take "
                "fewer classes, such as 400"
            )
        # All branches are followed together to a bracket of each.
        places, heights = [self._start], [self.branches_at_edge]
        while heights[-1][0] > 1:
            places.append(max(1.3, heights[-1][0] ** 0.5) * places[-1])
            heights.append(self.branches(places[-1]))
        table, y = np.array(heights)[:, : self.count], np.sqrt(np.log(places) - np.log(self._start))
        rights = np.argmax(table <= 1, axis=0)
        found = np.zeros(self.count)
        for right in np.unique(rights):
            own = np.flatnonzero(rights == right)
            found[own] = self._crossings(own, y[right - 1], y[right])
        return self._place(found)

    def _place(self, y: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """z = start·exp(y²), in which branches are smooth: g has a square root at the edge."""
        return self._start * np.exp(np.square(y))

    def _crossings(
        self, own: Int64[np.ndarray, " n"], low: float, high: float
    ) -> Float64[np.ndarray, " n"]:
        """Where branches that cross 1 between two y do so.

        Each evaluation gives all branches at once, and z ν_j is nearly constant: polynomials in
        y through ever more nodes, until the crossings rest. A few branches, and those that do
        not rest, are followed one by one.
        """
        found, left = np.zeros(len(own)), np.ones(len(own), bool)
        if len(own) > FEW:
            previous, values = np.full(len(own), np.inf), np.zeros((0, len(own)))
            for degree in DEGREES:
                nodes = (
                    low + (high - low) * (1 - np.cos(np.pi * np.arange(degree + 1) / degree)) / 2
                )
                # Every other node is one of the degree before.
                new = nodes[1::2] if len(values) else nodes
                with np.errstate(divide="ignore"):
                    heights = np.log([self.branches(float(z))[own] for z in self._place(new)])
                values = _interleave(values, heights) if len(values) else heights
                found = _roots(nodes, values)
                left = ~(np.abs(found - previous) < SETTLED)
                previous = found
                if not left.any():
                    break
        for j in np.flatnonzero(left):
            found[j] = brentq(
                lambda y, j=j: self.branches(float(self._place(np.array([y]))[0]))[own[j]] - 1,
                low,
                high,
                xtol=1e-12,
            )
        return found

    def gradient_components(self, errors: Float64[np.ndarray, "N C"]) -> Float64[np.ndarray, " n"]:
        r"""Mean squared component of the gradient along each outlier's eigenvector.

        The residue of the gradient's resolvent at z: with w = (−gK)^½ v, v the eigenvector of
        branch ν_j at its crossing and h = (1/N) Σ_μ (I + ℓM^μ)⁻¹ r^μ,

        .. math:: (v_j·g)^2 = −\frac{(w^⊤ h)^2 + η\,\overline{|(I + ℓM)^{-1}r|^2}}{dν_j/dz}, \quad
            dν_j/dz = w^⊤ \frac{dB}{dz} w + (Bw)^⊤ \frac{d(−gK)}{dz} (Bw),

        η the resolvent's `noise`.

        Parameters
        ----------
        errors : ndarray, shape (N, C)
            r^μ = p^μ − y^μ.
        """
        squares = np.zeros(len(self.values))
        for j, z in enumerate(self.values):
            at = self.residuals.at(z)
            B = self.curvature.B(at.load)
            order = at.root.shape[1]
            _, v = scipy.linalg.eigh(
                at.root.T @ B @ at.root, subset_by_index=[order - 1 - j, order - 1 - j]
            )
            w = at.root @ v[:, 0]
            slope = at.load_slope * self.curvature.slope(at.load, w)
            slope += (B @ w) @ at.gram_slope @ (B @ w)
            loaded = self.curvature.loaded_errors(errors, at.load)
            signal = (w @ self.curvature.mean_by_group(loaded)) ** 2
            noise = at.noise * np.square(loaded).sum() / len(loaded)
            squares[j] = z * (signal + noise) / -slope
        return squares


def _interleave(
    even: Float64[np.ndarray, "i n"], odd: Float64[np.ndarray, "j n"]
) -> Float64[np.ndarray, "k n"]:
    """Rows of two tables by turns, the first and the last of the longer one."""
    both = np.empty((len(even) + len(odd), even.shape[1]))
    both[::2], both[1::2] = even, odd
    return both


def _roots(
    nodes: Float64[np.ndarray, " i"], values: Float64[np.ndarray, "i n"]
) -> Float64[np.ndarray, " n"]:
    """Zeros of falling functions of y, whose sums with y² are polynomials through the nodes."""
    weights = (-1.0) ** np.arange(len(nodes))
    weights[[0, -1]] /= 2
    heights = values + np.square(nodes)[:, None]
    low, high = np.full(values.shape[1], nodes[0]), np.full(values.shape[1], nodes[-1])
    for _ in range(50):
        y = (low + high) / 2
        distances = y - nodes[:, None]
        distances[distances == 0] = 1e-200  # at a node the polynomial is its value
        shares = weights[:, None] / distances
        above = (shares * heights).sum(0) / shares.sum(0) > y**2
        low, high = np.where(above, y, low), np.where(above, high, y)
    return (low + high) / 2
