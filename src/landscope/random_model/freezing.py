r"""Freezing of the class probabilities: the random energy model at any number of classes.

Logits z_k ~ N(0, σ_z²) are the energies of Derrida's random energy model (1981,
doi:10.1103/PhysRevB.24.2613) at unit temperature; for C → ∞ it freezes at σ_z* = √(2 ln C).
With Z = Σ_k e^{z_k} and 1/Zⁿ = ∫₀^∞ t^{n−1} e^{−tZ} dt/(n−1)!, averages over C logits factorise:

.. math::

    E[Σ_k p_k^n] = \frac{C}{(n-1)!} \int_0^∞ t^{n-1}\, E[e^{nz − te^z}]\, E[e^{−te^z}]^{C−1}\, dt.
"""

import math

import numpy as np
from jaxtyping import Float64

from landscope.random_model.softmax_curvature import softmax

STEP = 0.25
"""Of the trapezoidal rule in ln t and z: its error is e^{−π²/STEP}, below rounding, for functions
that are analytic within π/2 of the real axis, as e^{−te^z} is."""


def critical_sigma(num_classes: int | float) -> float:
    """σ_z* = √(2 ln C), the spread of the logits at which C → ∞ classes freeze.

    Examples
    --------
    >>> round(critical_sigma(10), 3)
    2.146
    """
    _check(num_classes, 0.0)
    return math.sqrt(2 * math.log(num_classes))


def limiting_participation(num_classes: int | float, sigma_z: int | float) -> float:
    """E[Y] of Y = Σ_k p_k² to leading order in ln C: max(0, 1 − σ_z*/σ_z)."""
    _check(num_classes, sigma_z)
    critical = critical_sigma(num_classes)
    return 1 - critical / sigma_z if sigma_z > critical else 0.0


def limiting_entropy(num_classes: int | float, sigma_z: int | float) -> float:
    """E[−Σ_k p_k ln p_k] to leading order in ln C: max(0, ln C − σ_z²/2), in nats."""
    _check(num_classes, sigma_z)
    return max(0.0, math.log(num_classes) - sigma_z**2 / 2)


def expected_participation(num_classes: int | float, sigma_z: int | float) -> float:
    """E[Y], Y = Σ_k p_k², at finite C, by quadrature to about 1e−10.

    Parameters
    ----------
    num_classes : int
        C ≥ 2; up to 1e12 or so, nothing is of size C.
    sigma_z : float
        σ_z ≥ 0.

    Raises
    ------
    ValueError
        For C below 2 or σ_z below zero.

    Examples
    --------
    >>> round(expected_participation(10, 0.0), 10), round(expected_participation(10, 25.0), 3)
    (0.1, 0.939)
    """
    return _Averages(num_classes, sigma_z).sum_of_powers(2)


def expected_entropy(num_classes: int | float, sigma_z: int | float) -> float:
    """E[−Σ_k p_k ln p_k] in nats at finite C, by quadrature to about 1e−9.

    The entropy is ln Z − Σ_k p_k z_k, and E[Σ p_k z_k] = σ_z²(1 − E[Y]) by Stein's identity.

    Raises
    ------
    ValueError
        For C below 2 or σ_z below zero.

    Examples
    --------
    >>> import math
    >>> math.isclose(expected_entropy(10, 0.0), math.log(10))
    True
    """
    averages = _Averages(num_classes, sigma_z)
    return averages.log_sum() - sigma_z**2 * (1 - averages.sum_of_powers(2))


def expected_curvature_square(num_classes: int | float, sigma_z: int | float) -> float:
    """E[tr M²] of M = diag(p) − ppᵀ, that is E[Y − 2 Σ_k p_k³ + Y²], by quadrature.

    Examples
    --------
    >>> round(expected_curvature_square(10, 0.0), 10)  # M = (I − 11ᵀ/C)/C
    0.09
    """
    averages = _Averages(num_classes, sigma_z)
    return averages.sum_of_powers(2) - 2 * averages.sum_of_powers(3) + averages.square_of_squares()


class _Averages:
    """Averages over C Gaussian logits as integrals over x = ln t of averages over one logit."""

    def __init__(self, num_classes: int | float, sigma_z: int | float):
        _check(num_classes, sigma_z)
        self.C, sigma = float(num_classes), float(sigma_z)
        # The largest of C logits, nine standard deviations beyond where it is expected.
        reach = sigma * (9 + math.sqrt(2 * math.log(self.C)))
        # e^{−tZ} goes from 1 to 0 where ln t = −ln Z, and moments die off as t on its left.
        x = np.arange(-(math.log(self.C) + reach + 40), reach + 6, STEP)
        step = min(STEP, 0.6 * sigma) if sigma > 0 else 1.0
        z = step * np.arange(-math.ceil(reach / step), math.ceil(reach / step) + 1)
        density = np.exp(-0.5 * (z / sigma) ** 2) if sigma > 0 else np.ones(1)
        self.x = x
        self.density = density / density.sum()
        if step == STEP:
            # Both grids are one lattice: an average over z is a convolution.
            u = x[0] + z[0] + STEP * np.arange(len(x) + len(z) - 1)
        else:
            u = x[:, None] + z
        self.u = np.minimum(u, 50.0)  # ln(te^z)
        self.dying = np.exp(-np.exp(self.u))
        lost = self._over_z(-np.expm1(-np.exp(self.u)))
        left = np.maximum(self._over_z(self.dying), np.finfo(float).tiny)
        self.log_survival = np.where(lost < 0.5, np.log1p(-np.minimum(lost, 0.5)), np.log(left))

    def _over_z(self, values: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, " x"]:
        if values.ndim == 1:
            return np.convolve(values, self.density, "valid")
        return values @ self.density

    def moment(self, n: int) -> Float64[np.ndarray, " x"]:
        """tⁿ E[e^{nz − te^z}]."""
        return self._over_z(np.exp(n * self.u) * self.dying)

    def survival(self, count: float) -> Float64[np.ndarray, " x"]:
        """E[e^{−te^z}]^count."""
        return np.exp(count * self.log_survival)

    def sum_of_powers(self, n: int) -> float:
        """E[Σ_k p_k^n]."""
        integrand = self.moment(n) * self.survival(self.C - 1)
        return float(self.C * STEP * integrand.sum() / math.factorial(n - 1))

    def square_of_squares(self) -> float:
        """E[Y²] = E[Σ_k p_k⁴] + E[Σ_{k≠l} p_k² p_l²]."""
        pairs = self.moment(2) ** 2 * self.survival(self.C - 2)
        return self.sum_of_powers(4) + float(self.C * (self.C - 1) * STEP * pairs.sum() / 6)

    def log_sum(self) -> float:
        """E[ln Z] = ∫ (e^{−t} − E[e^{−tZ}]) dt/t (Frullani)."""
        return float(STEP * (np.exp(-np.exp(self.x)) - self.survival(self.C)).sum())


def simplex_paths(
    num_classes: int, num_points: int, sigma_z: Float64[np.ndarray, " s"], seed: int = 0
) -> Float64[np.ndarray, "s n C"]:
    """Probabilities of Gaussian logits whose spread changes while their directions stay.

    Parameters
    ----------
    num_classes, num_points : int
        C and the number of examples.
    sigma_z : ndarray, shape (s,)
        Spreads of the logits.
    seed : int
        Of the directions.

    Returns
    -------
    ndarray, shape (s, n, C)
        p = softmax(σ_z ξ), ξ standard normal: at the centre of the simplex for σ_z = 0, at its
        corners for σ_z → ∞.

    Raises
    ------
    ValueError
        For fewer than two classes or a spread below zero.

    Examples
    --------
    >>> import numpy as np
    >>> paths = simplex_paths(3, 100, np.array([0.0, 1.0, 25.0]))
    >>> [round(float(p.max(-1).mean()), 1) for p in paths]
    [0.3, 0.6, 1.0]
    """
    for spread in sigma_z:
        _check(num_classes, float(spread))
    directions = np.random.default_rng(seed).standard_normal((num_points, num_classes))
    return np.stack([softmax(spread * directions) for spread in sigma_z])


def _check(num_classes: int | float, sigma_z: int | float) -> None:
    if not 2 <= num_classes < math.inf:
        raise ValueError(f"num_classes is {num_classes!r}; it must be at least 2")
    if not 0 <= sigma_z < math.inf:
        raise ValueError(f"sigma_z is {sigma_z!r}; it must be a finite number of at least 0")
