"""The bulk of the Hessian's spectrum for residuals of any covariance."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Complex128, Float64
from scipy.optimize import brentq
from scipy.special import expit

from landscope.random_model.bulk import AIRY_MEAN, HAIR
from landscope.random_model.resolvent_sums import resolvent_sums
from landscope.random_model.upper_half_plane import descend

FARTHEST = 40.0
"""Where e is within rounding of its bounds, as a logit."""

ROUNDING = 1e-12
"""Least slope dz/de, in units of z/|e|."""


@dataclass(frozen=True)
class AnisotropicBulk:
    r"""Spectrum of A₀ᵀA₀, A₀ with independent rows √(m_i/N) E_i, E_i ~ N(0, Σ).

    Parameters
    ----------
    curvatures : ndarray, shape (n,)
        The eigenvalues m_i of all M^μ; not all zero.
    covariance_spectrum : ndarray, shape (q,)
        The eigenvalues s_j > 0 of Σ, descending; at least one. The other D − q are zero.
    num_params : float
        D ≥ q.
    num_examples : int
        N.

    Notes
    -----
    A row separated covariance: (A₀ᵀA₀ − z)⁻¹ is on average Q(z) = (b Σ − z)⁻¹, and

    .. math::

        e = \mathrm{tr}\,ΣQ = -\sum_j \frac{s_j}{z - b s_j}, \qquad
        b = \frac1N \sum_i \frac{m_i}{1 + e m_i/N}

    (Zhang 2006; Paul & Silverstein 2009, doi:10.1016/j.jmva.2008.03.010; El Karoui 2009,
    arXiv:math/0609418). Right of the bulk e rises from e₀ > −N/max m at the edge to 0 at z → ∞;
    the edge is where

    .. math:: \frac{dz}{de} = \frac{1 + b'(e) \sum_j s_j^2/(z - b s_j)^2}
        {\sum_j s_j/(z - b s_j)^2} = 0.

    For s_j = σ_E²/D, e = σ_E² g, and the equation of Marchenko and Pastur for g is back.

    Examples
    --------
    >>> import numpy as np
    >>> bulk = AnisotropicBulk(np.full(100, 0.5), np.full(400, 1 / 400), 400, 50)
    >>> round(bulk.edge, 10), round(0.5 / 50 * (1 + 0.5) ** 2, 10)
    (0.0225, 0.0225)
    """

    curvatures: Float64[np.ndarray, " n"]
    covariance_spectrum: Float64[np.ndarray, " q"]
    num_params: int | float
    num_examples: int

    @cached_property
    def _w(self) -> Float64[np.ndarray, " n"]:
        return self.curvatures / self.curvatures.max()

    @cached_property
    def _unit(self) -> float:
        """The largest m/N, in units of which −e is between 0 and 1."""
        return float(self.curvatures.max()) / self.num_examples

    def _b(self, x: float, power: int = 1) -> float:
        """Σ_i ((m_i/N)/(1 + e m_i/N))^power: b, and −db/de for the power two; e at logit x."""
        remaining = 1 - self._w + self._w * expit(x)
        return float(np.sum((self._unit * self._w / remaining) ** power))

    def _e(self, x: float) -> float:
        return -float(expit(-x)) / self._unit

    def _sums(self, gap: float, b: float) -> tuple[float, float, float]:
        """Σ s/(z − bs), Σ s/(z − bs)² and Σ s²/(z − bs)² at z = b s_1 + gap."""
        s = self.covariance_spectrum
        distances = gap + b * (s[0] - s)
        terms = s / distances
        return float(terms.sum()), float((terms / distances).sum()), float((terms**2).sum())

    def _gap(self, x: float) -> float:
        """The z − b s_1 > 0 at which e has the logit x."""
        s, b, e = self.covariance_spectrum, self._b(x), self._e(x)
        # The largest term, and q times it, bracket the sum.
        low, high = -s[0] / e * (1 - 1e-12), -s.sum() / e * (1 + 1e-12)
        return brentq(lambda gap: self._sums(gap, b)[0] + e, low, high, rtol=1e-14)

    def _z(self, x: float) -> float:
        return self._b(x) * float(self.covariance_spectrum[0]) + self._gap(x)

    def _slope(self, x: float) -> float:
        """dz/de at the logit x."""
        _, first, second = self._sums(self._gap(x), self._b(x))
        return (1 - self._b(x, 2) * second) / first

    @cached_property
    def _x_edge(self) -> float:
        return brentq(self._slope, -FARTHEST, FARTHEST, xtol=1e-10)

    @cached_property
    def edge(self) -> float:
        """Right edge of the bulk."""
        return float(self._z(self._x_edge))

    @cached_property
    def airy_scale(self) -> float:
        """Scale on which the largest eigenvalue fluctuates.

        Near the edge D ρ(x) = √(edge − x)/(π s^{3/2}), with s^{−3/2} = |d(Dg)/de| (2/z″(e))^½.
        """
        x, step = self._x_edge, 1e-4
        rise = (self._slope(x + step) - self._slope(x - step)) / (
            self._e(x + step) - self._e(x - step)
        )
        _, first, _ = self._sums(self._gap(x), self._b(x))
        return float((self._b(x, 2) * first) ** (-2 / 3) * (rise / 2) ** (1 / 3))

    @property
    def largest_eigenvalue(self) -> float:
        """Mean of the largest eigenvalue of the bulk, edge − 1.2065·s (Tracy and Widom)."""
        return self.edge - AIRY_MEAN * self.airy_scale

    @property
    def atom_at_zero(self) -> float:
        """Share of the D eigenvalues that are zero for want of rows or of directions."""
        rank = min(int(np.count_nonzero(self.curvatures)), len(self.covariance_spectrum))
        return float(max(1 - rank / float(self.num_params), 0.0))

    def solution(self, z: float) -> tuple[float, float, float, float]:
        """(e, de/dz, b, db/dz) at a real z from the edge on."""
        x = self._x_edge
        if z > self.edge:
            x = brentq(lambda x: self._excess(x, z), x, self._far(z), xtol=1e-14)
        e_slope = 1 / max(self._slope(x), ROUNDING * z / abs(self._e(x)))  # infinite at the edge
        return self._e(x), e_slope, self._b(x), -self._b(x, 2) * e_slope

    def _excess(self, x: float, z: float) -> float:
        """Σ s/(z − bs) + e, zero at the solution."""
        b = self._b(x)
        return self._sums(z - b * float(self.covariance_spectrum[0]), b)[0] + self._e(x)

    def _far(self, z: float) -> float:
        """A logit at which e is nearer to 0 than at z, where −e > tr Σ/z."""
        nearer = float(np.log(z / (self._unit * self.covariance_spectrum.sum())))
        return max(nearer, self._x_edge) + 1

    def density(self, x: Float64[np.ndarray, " x"]) -> Float64[np.ndarray, " x"]:
        """Density ρ(x) = Im g(x + i0)/π of the D eigenvalues, without the atom at zero."""
        inside = (x > 0) & (x < self.edge)
        rho = np.zeros_like(x)
        at = x[inside]
        _, b = self.complex_solution(at, HAIR * at)
        resolvents = 1 / (b[:, None] * self.covariance_spectrum - at[:, None])
        rho[inside] = resolvents.imag.sum(1) / (np.pi * float(self.num_params))
        return rho

    def share_below(self, x: Float64[np.ndarray, " x"]) -> Float64[np.ndarray, " x"]:
        """Share of the D eigenvalues below x > 0, those that are zero among them."""
        below = np.ones_like(x)
        inside = x < self.edge
        at = x[inside]
        e, b = self.complex_solution(at, HAIR * at)
        z = at * (1 + 1j * HAIR)
        above = [self.count_above(*solution) for solution in zip(z, e, b, strict=True)]
        below[inside] = 1 - np.array(above) / float(self.num_params)
        return np.clip(below, 0.0, 1.0)

    def count_above(self, z: complex, e: complex, b: complex) -> float:
        r"""Mean number of eigenvalues above Re z, for the solution (e, b) at z just above the axis.

        It is q + Im Φ(z)/π, Φ of `landscope.random_model.spectral_count` without centroids.
        """
        s, t = self.covariance_spectrum, self._unit * self._w
        angles = np.angle(b * s - z).sum() + np.angle(1 + e * t).sum() - (b * e).imag
        return float(len(s) + angles / np.pi)

    def complex_solution(
        self, x: Float64[np.ndarray, " x"], height: Float64[np.ndarray, " x"]
    ) -> tuple[Complex128[np.ndarray, " x"], Complex128[np.ndarray, " x"]]:
        """(e, b) at z = x + i·height: Newton's method, continued from far above the real axis."""
        s, t = self.covariance_spectrum, self._unit * self._w

        def step(at: np.ndarray, z: np.ndarray) -> np.ndarray:
            b, slope = resolvent_sums(at, t)
            terms, squares = resolvent_sums(-b / z, s)  # z times s/(z − bs)
            return (at + terms / z) / (1 - slope * squares / z**2)

        far = np.full(len(x), 10 * self.edge)
        start = -s.sum() / (x + 1j * far)
        e = descend(start, x, np.maximum(far, height), height, step, precision=1e-8)
        return e, resolvent_sums(e, t)[0]
