"""Curvature in a hyperplane: PᵀAP, its trace over norm, and how many directions curve upwards."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from landscope.geometry.curvature import ratio
from landscope.linalg import (
    Estimate,
    SpectralDensity,
    frobenius_norm,
    spectral_density,
    trace,
)

EXACT_UP_TO = 512
"""Dimension from which on estimates cost fewer products than the matrix."""


@dataclass(frozen=True)
class HyperplaneCurvature:
    """Curvature of A as it is seen inside W₀ + Pθ, A_P = PᵀAP, in units of loss per weight².

    Attributes
    ----------
    trace : Estimate
        Tr A_P.
    frobenius_norm : Estimate
        ‖A_P‖_F.
    trace_over_norm : Estimate
        Tr A_P/‖A_P‖_F: √d where all directions curve alike, 0 where up and down balance.
    positive_share : Estimate
        Share of the d eigenvalues that are positive, beyond rounding.
    eigenvalues : Tensor, shape (d,), or None
        All of them, descending; None where they were estimated.
    density : SpectralDensity or None
        Of the eigenvalues, where they were estimated; `positive_share` is its mass above 0.
    num_products : int
        Products with A.

    Notes
    -----
    All are exact for this hyperplane where `eigenvalues` are there. How they vary from one
    hyperplane to another is another matter: see `landscope.goldilocks`.
    """

    trace: Estimate
    frobenius_norm: Estimate
    trace_over_norm: Estimate
    positive_share: Estimate
    eigenvalues: Float64[Tensor, " d"] | None
    density: SpectralDensity | None
    num_products: int


def curvature_of(projected: Any, exact: bool | None = None, seed: int = 0) -> HyperplaneCurvature:
    """Measure a projected operator, as a matrix or by random probes.

    Parameters
    ----------
    projected : symmetric operator, d × d
        PᵀAP.
    exact : bool, optional
        Whether to build the matrix, by d products in blocks; up to d = 512 if absent.
    seed : int
        Of the probes.

    Returns
    -------
    HyperplaneCurvature

    Examples
    --------
    >>> A = torch.diag(torch.tensor([3.0, 1.0, -1.0], dtype=torch.float64))
    >>> found = curvature_of(A)
    >>> round(float(found.trace_over_norm), 3), round(float(found.positive_share), 3)
    (0.905, 0.667)
    """
    dim = projected.shape[0]
    if exact is None:
        exact = dim <= EXACT_UP_TO
    return _of_matrix(projected) if exact else _of_probes(projected, seed)


def _of_matrix(projected: Any) -> HyperplaneCurvature:
    matrix = projected if isinstance(projected, Tensor) else projected.to_dense()
    wide = matrix.double().cpu()
    values = torch.linalg.eigvalsh((wide + wide.T) / 2).flip(0)
    dim = len(values)
    rounding = _rounding(matrix, float(values.abs().max()))
    total, norm = float(values.sum()), float(values.norm())
    return HyperplaneCurvature(
        trace=Estimate(total, num_products=dim),
        frobenius_norm=Estimate(norm, num_products=dim),
        trace_over_norm=Estimate(total / norm if norm else float("nan"), num_products=dim),
        positive_share=Estimate(float((values > rounding).double().mean()), num_products=dim),
        eigenvalues=values,
        density=None,
        num_products=dim,
    )


def _rounding(projected: Any, largest: float) -> float:
    """How far from 0 an eigenvalue must lie in order to have a sign."""
    eps = torch.finfo(projected.dtype).eps
    return max(projected.shape[0] ** 0.5 * eps * largest, 1e-300)


def _of_probes(projected: Any, seed: int) -> HyperplaneCurvature:
    total = trace(projected, seed=seed)
    norm = frobenius_norm(projected, seed=seed + 1)  # the ratio takes them as independent
    density = spectral_density(projected, seed=seed)
    # Eigenvalues that equal an end up to rounding lie inside; those at 0 are not to.
    rounding = 10 * _rounding(projected, float(density.nodes.abs().max()))
    positive = density.mass(rounding + density.distribution.rounding, float("inf"))
    return HyperplaneCurvature(
        trace=total,
        frobenius_norm=norm,
        trace_over_norm=ratio(total, norm),
        positive_share=positive,
        eigenvalues=None,
        density=density,
        num_products=total.num_products + norm.num_products + density.num_products,
    )
