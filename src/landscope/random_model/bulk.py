"""The bulk of the Hessian's spectrum: what isotropic residuals make without any centroids."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Complex128, Float64
from scipy.optimize import brentq
from scipy.special import expit

from landscope.random_model.resolvent_sums import resolvent_sums
from landscope.random_model.upper_half_plane import descend

HAIR = 1e-9
"""Distance from the real axis, relative to x, at which the density is read off."""

LEAST = 4 * float(np.finfo(float).tiny)
"""Least eigenvalue that has a finite inverse."""

LARGEST_TABLE = 2_000_000
"""Places times rows that are worked on at a time."""

AIRY_MEAN = 1.2065
"""Mean of the Tracy–Widom law of real symmetric matrices (β = 1), with its sign turned."""


@dataclass(frozen=True)
class IsotropicBulk:
    r"""Spectrum of A₀ᵀA₀, A₀ with independent rows √(m_i/N) E_i, E_i ~ N(0, σ_E² I_D/D).

    Parameters
    ----------
    curvatures : ndarray, shape (n,)
        The eigenvalues m_i of all M^μ.
    sigma_e : float
        σ_E ≥ 0.
    num_params : float
        D.
    num_examples : int
        N.
    weight : float
        How often each m_i occurs in A₀, 1 for a draw's own; fewer than 1 where many more have been
        drawn than A₀ has rows, to average over them.

    Notes
    -----
    With a = σ_E²/N, the Stieltjes transform g(z) = (1/D) tr(A₀ᵀA₀ − z)⁻¹ solves the equation of
    Marchenko and Pastur (Silverstein & Choi 1995, doi:10.1006/jmva.1995.1058)

    .. math:: z = −\frac1g + \frac1D \sum_i \frac{a m_i}{1 + a m_i g},

    here in units of the largest a·m_i: z = ζ·scale, g = −t/scale, w_i = m_i/max m. Right of the
    bulk 0 < t < 1, and t = 1/(1 + eˢ), 1 − w_i t = (1 − w_i) + w_i/(1 + e⁻ˢ) keep their precision
    for any D. The edge is where dz/dg = 0.

    Examples
    --------
    All m equal: the law of Marchenko and Pastur, of edge (σ_E²m/N)(1 + √(n/D))².

    >>> import numpy as np
    >>> bulk = IsotropicBulk(np.full(100, 0.5), 1.0, 400, 50)
    >>> round(bulk.edge, 10), round(0.5 / 50 * (1 + 0.5) ** 2, 10)
    (0.0225, 0.0225)
    """

    curvatures: Float64[np.ndarray, " n"]
    sigma_e: float
    num_params: int | float
    num_examples: int
    weight: float = 1.0

    @cached_property
    def scale(self) -> float:
        """The largest a·m_i, a Hessian eigenvalue; zero where there is no bulk.

        What has no finite inverse is zero too: all classes are frozen beyond the range of numbers.
        """
        scale = float(self.sigma_e**2 * self.largest_curvature / self.num_examples)
        return scale if scale > LEAST else 0.0

    @cached_property
    def largest_curvature(self) -> float:
        """The largest m_i."""
        return float(self.curvatures.max())

    @cached_property
    def _w(self) -> Float64[np.ndarray, " n"]:
        return self.curvatures / self.largest_curvature

    @cached_property
    def _share(self) -> float:
        """The factor 1/D of the sum over rows."""
        return self.weight / float(self.num_params)

    def _distances(self, s: float) -> Float64[np.ndarray, " n"]:
        """w/(1 − wt), at most 1/(1 − t)."""
        return self._w / (1 - self._w + self._w * expit(s))

    def _sum(self, s: float, power: int) -> float:
        """(1/D) Σ (w/(1 − wt))^power."""
        return self._share * float(np.sum(self._distances(s) ** power))

    @cached_property
    def _s_edge(self) -> float:
        """Where dζ/dt = −1/t² + (1/D) Σ (w/(1 − wt))² vanishes; one row and n rows bracket it."""
        least = np.log(self._share) / 2
        most = least + np.log(len(self._w)) / 2
        return brentq(
            lambda s: np.log(self._sum(s, 2)) + 2 * np.log(expit(-s)), least - 1e-3, most + 1e-3
        )

    def _zeta(self, s: float) -> float:
        return 1 / expit(-s) + self._sum(s, 1)

    def _s(self, z: float) -> float:
        """The place s of a real z; that of the edge for any z left of it."""
        zeta, low = z / self.scale, self._s_edge
        if zeta <= self._zeta(low):
            return low
        return brentq(
            lambda s: np.log(self._zeta(s) / zeta), low, np.log(zeta - 1) + 1e-3, xtol=1e-14
        )

    @cached_property
    def edge(self) -> float:
        """Right edge of the bulk; 0 where there is none."""
        return float(self.scale * self._zeta(self._s_edge)) if self.scale > 0 else 0.0

    @cached_property
    def airy_scale(self) -> float:
        """Scale s = (z″(g)/(2D²))^⅓ at the edge, on which the largest eigenvalue fluctuates.

        That is (t⁻³/D² + (1/D³) Σ (w/(1 − wt))³)^⅓ in units of `scale`; the largest term is
        taken out of the root, for its cube may be beyond all numbers.
        """
        if self.scale == 0:
            return 0.0
        D, distances = float(self.num_params), self._distances(self._s_edge)
        farthest = float(distances.max())
        cubes = self.weight * float(np.sum((distances / farthest) ** 3))
        cubes += (D ** (1 / 3) / farthest / float(expit(-self._s_edge))) ** 3
        return float(self.scale * (farthest / D) * cubes ** (1 / 3))

    @property
    def largest_eigenvalue(self) -> float:
        """Mean of the largest eigenvalue of the bulk, edge − 1.2065·s (Tracy and Widom)."""
        return self.edge - AIRY_MEAN * self.airy_scale

    @cached_property
    def atom_at_zero(self) -> float:
        """Share of the D eigenvalues that are zero for want of rows.

        An m_i below the least of all numbers counts as a row: it is positive, and rounding alone
        makes it zero. What lies near zero is in `share_below`.
        """
        rank = self._share * len(self.curvatures) if self.sigma_e > 0 else 0.0
        return float(max(1 - rank, 0.0))

    def resolvent(self, z: float) -> tuple[float, float]:
        """The Stieltjes transform g < 0 at a real z from the edge on, and dg/dz."""
        g, slope = self.scaled_resolvent(z)
        return g, slope * g / z

    def scaled_resolvent(self, z: float) -> tuple[float, float]:
        """The Stieltjes transform g < 0 and d ln(−g)/d ln z, which is a number at any scale."""
        if self.scale == 0:
            return -1 / z, -1.0
        s = self._s(z)
        t = expit(-s)
        slope = t**-2 - self._sum(s, 2)
        return -t / self.scale, -self._zeta(s) / (t * slope) if slope > 0 else -np.inf

    def share_below(self, x: Float64[np.ndarray, " x"]) -> Float64[np.ndarray, " x"]:
        r"""Share of the D eigenvalues below x > 0, those that are zero among them.

        The integral of the density in closed form: Σ ln det(A₀ᵀA₀ − z) is on average D times

        .. math:: −\ln g + \frac1D \sum_i \ln(1 + a m_i g) − 1 − zg,

        stationary in g, and its imaginary part just above x is −π times the number of eigenvalues
        below x. It is as precise where the density is a comb of teeth that no grid resolves.
        """
        below = np.ones_like(x)
        if self.scale == 0:
            return below
        inside = x < self.edge
        zeta = x[inside] / self.scale
        G = self._complex_transform(zeta)
        angles = np.array([np.angle(1 + at * self._w).sum() for at in G])
        below[inside] = (np.angle(G) - self._share * angles + zeta * G.imag) / np.pi
        return np.clip(below, 0.0, 1.0)

    def density(self, x: Float64[np.ndarray, " x"]) -> Float64[np.ndarray, " x"]:
        """Density ρ(x) = Im g(x + i0)/π of the D eigenvalues, without the atom at zero."""
        if self.scale == 0:
            return np.zeros_like(x)
        inside = (x > 0) & (x < self.edge)
        rho = np.zeros_like(x)
        G = self._complex_transform(x[inside] / self.scale)
        rho[inside] = G.imag / (np.pi * self.scale)
        return rho

    def _complex_transform(self, zeta: Float64[np.ndarray, " x"]) -> Complex128[np.ndarray, " x"]:
        """G = g·scale a hair above ζ: Newton's method, continued from far above the real axis."""
        w, share = self._w, self._share

        def step(at: np.ndarray, z: np.ndarray) -> np.ndarray:
            terms, squares = resolvent_sums(at, w)
            residual = at * (share * terms - z) - 1
            return at * residual / (1 - share * at**2 * squares)

        far = np.full(len(zeta), 10 * max(self.edge / self.scale, 1.0))
        G = -1 / (zeta + 1j * far)
        size = max(LARGEST_TABLE // len(w), 1)
        for first in range(0, len(zeta), size):
            own = slice(first, first + size)
            x = zeta[own]
            G[own] = descend(G[own], x, far[own], HAIR * x, step, precision=1e-6)
        return G
