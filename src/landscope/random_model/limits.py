"""The random model where D, or N as well, is infinite: closed forms, averaged over all draws."""

import math

import numpy as np
from scipy.integrate import quad
from scipy.special import gammaincinv

from landscope.random_model.freezing import expected_curvature_square, expected_participation
from landscope.random_model.model import RandomModel


def outlier_size(model: RandomModel) -> float:
    """Size of the C − 1 outliers to leading order, σ_c²(1 − E[Y])/(C − 1).

    By symmetry E[M] = (1 − E[Y])/(C − 1)·(I − 11ᵀ/C) for i.i.d. Gaussian logits.

    Examples
    --------
    >>> import landscope as ls
    >>> round(outlier_size(ls.RandomModel(sigma_z=0.0)), 10)  # σ_c²/C
    0.1
    """
    _check_equal_lengths(model)
    remaining = 1 - expected_participation(model.num_classes, model.sigma_z)
    return model.sigma_c**2 * remaining / (model.num_classes - 1)


def trace(model: RandomModel) -> float:
    """E[Tr H] = (σ_c² + σ_E²)(1 − E[Y]); exact at every N and D.

    Examples
    --------
    >>> import landscope as ls
    >>> round(trace(ls.RandomModel(sigma_z=0.0)), 10)
    1.341
    """
    _check_equal_lengths(model)
    remaining = 1 - expected_participation(model.num_classes, model.sigma_z)
    return (model.sigma_c**2 + model.sigma_e**2) * remaining


def frobenius_norm(model: RandomModel) -> float:
    r"""Root mean square of ‖H‖_F for D → ∞, at any N.

    .. math:: E‖H‖_F^2 = \frac{σ_c^4 q^2}{C-1} + \frac1N \Big[(σ_c^2 + σ_E^2)^2\, E\,\mathrm{tr}M^2
        − \frac{σ_c^4 q^2}{C-1}\Big], \quad q = 1 − E[Y].

    Examples
    --------
    >>> import landscope as ls
    >>> model = ls.RandomModel(sigma_z=0.1, num_examples=100)
    >>> round(trace(model) / frobenius_norm(model), 2)
    4.44
    """
    _check_equal_lengths(model)
    C = model.num_classes
    remaining = 1 - expected_participation(C, model.sigma_z)
    signal = model.sigma_c**4 * remaining**2 / (C - 1)
    single = (model.sigma_c**2 + model.sigma_e**2) ** 2 * expected_curvature_square(
        C, model.sigma_z
    )
    return math.sqrt(signal + (single - signal) / model.num_examples)


def trace_to_norm(model: RandomModel) -> float:
    """Tr H/‖H‖_F for D → ∞ and then N → ∞: √(C − 1)(1 + σ_E²/σ_c²), whatever σ_z is.

    Its fall with σ_z at finite N is an effect of finite N.

    Examples
    --------
    >>> import landscope as ls
    >>> round(trace_to_norm(ls.RandomModel()), 2)
    4.47
    """
    _check_equal_lengths(model)
    if model.sigma_c == 0:
        return math.inf
    return math.sqrt(model.num_classes - 1) * (1 + (model.sigma_e / model.sigma_c) ** 2)


def gradient_power(model: RandomModel) -> tuple[float, float]:
    """Mean and standard deviation, over draws, of the gradient's share in the C − 1 outliers.

    For D → ∞ and then N → ∞ the share is X/(X + σ_E²/σ_c²), X ~ χ²_{C−1}/(C − 1), whatever σ_z:
    r̄ is the mean of N errors r^μ, and ‖r̄‖² of its fluctuation, E‖r‖²X/N, is of the order of
    the residuals' (σ_E²/N²) Σ‖r^μ‖².

    Examples
    --------
    >>> import landscope as ls
    >>> [round(x, 2) for x in gradient_power(ls.RandomModel())]
    [0.64, 0.11]
    """
    _check_equal_lengths(model)
    dof = model.num_classes - 1
    if model.sigma_c == 0 or model.sigma_e == 0:
        return float(model.sigma_c > 0), 0.0
    ratio = (model.sigma_e / model.sigma_c) ** 2

    def moment(n: int) -> float:
        # In units of probability, so that the singular density of one degree of freedom is tame.
        return quad(
            lambda q: _share(gammaincinv(dof / 2, q) / (dof / 2), ratio) ** n, 0, 1, limit=200
        )[0]

    mean = moment(1)
    return mean, math.sqrt(max(moment(2) - mean**2, 0.0))


def _share(x: float | np.floating, ratio: float) -> float:
    return float(x / (x + ratio)) if np.isfinite(x) else 1.0


def _check_equal_lengths(model: RandomModel) -> None:
    if model.lengths is not None or model.sigma_class > 0:
        raise ValueError(
            "model has centroids of given lengths or class-conditional ones; "
            "the limits are those of centroids of one length sigma_c"
        )
