r"""The examples' side of the outliers' equation: B(ℓ) = (1/N) Σ_μ M^μ(I + ℓM^μ)⁻¹ in closed form.

With q = p/(1 + ℓp), by Sherman and Morrison, M(I + ℓM)⁻¹ = diag(q) − qqᵀ/Σ_k q_k. The load is
negative, and 1 + ℓp may vanish for the likeliest class t, where nothing is singular: with
R = Σ_{k≠t} q_k, i = 1/p_t + ℓ and δ = 1 + Ri the entries are

.. math:: q_kδ_{kl} − q_kq_l\,i/δ, \;\; −q_k/δ \text{ for } l = t, \;\; R/δ \text{ for } k = l = t,

and δ is positive for ℓ > −1/max m. No eigenvector of M^μ is needed, and no sum cancels where p is
near a corner.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Inexact, Int64

SMALLEST = 1e-13
"""Least 1 + ℓp, 1 + Ri and distance of −ℓ max m from 1 that rounding leaves."""


@dataclass(frozen=True)
class LoadedCurvature:
    """B(ℓ), its slope, and errors that carry the load.

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
    def _likeliest(self) -> tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " N"]]:
        """Places (μ, t^μ)."""
        p = self.probabilities
        return np.arange(len(p)), p.argmax(1)

    @cached_property
    def _others(self) -> Float64[np.ndarray, "N C"]:
        """p^μ with zero for the likeliest class."""
        others = self.probabilities.copy()
        others[self._likeliest] = 0.0
        return others

    def _parts(
        self, load: float | complex
    ) -> tuple[
        Inexact[np.ndarray, "N C"],
        Inexact[np.ndarray, " N"],
        Inexact[np.ndarray, " N"],
        Inexact[np.ndarray, " N"],
    ]:
        """q without the likeliest class, R, i and δ."""
        q = self._others / _positive(1 + load * self._others)
        rest = q.sum(1)
        inverse = 1 / self.probabilities[self._likeliest] + load
        return q, rest, inverse, _positive(1 + rest * inverse)

    def B(self, load: float | complex) -> Inexact[np.ndarray, "GC GC"]:
        """The block-diagonal matrix of (1/N) Σ_{μ in group} M(I + ℓM)⁻¹."""
        q, rest, inverse, delta = self._parts(load)
        _, top = self._likeliest
        N, C = q.shape
        blocks = np.zeros((self.num_groups, C, self.num_groups, C), q.dtype)
        for group in range(self.num_groups):
            own = self.groups == group
            part, to = q[own], top[own]
            block = -(part * (inverse / delta)[own, None]).T @ part
            border = np.zeros_like(block)
            np.add.at(border, to, -part / delta[own, None])
            block += border + border.T
            diagonal = part.sum(0)
            np.add.at(diagonal, to, (rest / delta)[own])
            block[np.diag_indices(C)] += diagonal
            blocks[group, :, group] = block / N
        return blocks.reshape(self.num_groups * C, self.num_groups * C)

    def mean_square(self) -> Float64[np.ndarray, "GC GC"]:
        """The block-diagonal matrix of (1/N) Σ_{μ in group} (M^μ)².

        Its entries are −p_kp_l(p_k + p_l − Y) off the diagonal, Y = Σp², and
        p_k²((1 − p_k)² + Y − p_k²) on it.
        """
        p, others, (_, top) = self.probabilities, self._others, self._likeliest
        largest, rest = p[self._likeliest], others.sum(1)
        squares = np.square(others)
        small = squares.sum(1)
        Y = largest**2 + small
        N, C = p.shape
        blocks = np.zeros((self.num_groups, C, self.num_groups, C))
        for group in range(self.num_groups):
            own = self.groups == group
            part, square, to = others[own], squares[own], top[own]
            block = (part * Y[own, None]).T @ part - square.T @ part - part.T @ square
            border = np.zeros_like(block)
            loss = (largest * rest - small)[own, None] + part
            np.add.at(border, to, -largest[own, None] * part * loss)
            block += border + border.T
            diagonal = (square * ((1 - part) ** 2 + Y[own, None] - square)).sum(0)
            np.add.at(diagonal, to, (largest**2 * (rest**2 + small))[own])
            block[np.diag_indices(C)] = diagonal
            blocks[group, :, group] = block / N
        return blocks.reshape(self.num_groups * C, self.num_groups * C)

    def _act(self, load: float, x: Float64[np.ndarray, "N C"]) -> Float64[np.ndarray, "N C"]:
        """M(I + ℓM)⁻¹ of each example on a row of its own."""
        q, _, inverse, delta = self._parts(load)
        differences = x - x[self._likeliest][:, None]  # M1 = 0
        result = q * differences
        result -= q * (result.sum(1) * inverse / delta)[:, None]
        result[self._likeliest] = -result.sum(1)
        return result

    def slope(self, load: float, w: Float64[np.ndarray, " GC"]) -> float:
        """The form wᵀ(dB/dℓ)w = −(1/N) Σ |M(I + ℓM)⁻¹w|²."""
        N, C = self.probabilities.shape
        own = w.reshape(self.num_groups, C)[self.groups]
        return -float(np.square(self._act(load, own)).sum()) / N

    def loaded_errors(
        self, errors: Float64[np.ndarray, "N C"], load: float
    ) -> Float64[np.ndarray, "N C"]:
        """(I + ℓM^μ)⁻¹ r^μ."""
        return errors - load * self._act(load, errors)

    def mean_by_group(self, errors: Float64[np.ndarray, "N C"]) -> Float64[np.ndarray, " GC"]:
        """(1/N) Σ_{μ in group} of rows by example, stacked by group."""
        N, C = errors.shape
        total = np.zeros((self.num_groups, C))
        np.add.at(total, self.groups, errors / N)
        return total.ravel()


def _positive(x: Inexact[np.ndarray, "*shape"]) -> Inexact[np.ndarray, "*shape"]:
    """1 + ℓm, which rounds to zero or below at the edge for the largest m and huge D."""
    return x if np.iscomplexobj(x) else np.maximum(x, SMALLEST)
