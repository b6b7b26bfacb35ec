r"""How far inexact top eigenpairs are from the exact ones: bounds from residuals and gaps.

Let V hold the k Ritz vectors v_j, with Ritz values θ_1 ≥ … ≥ θ_k and residuals Av_j − θ_jv_j of
lengths r_j, e their root sum of squares. In an orthonormal basis that begins with V,

.. math:: A = \begin{pmatrix} Θ & E^⊤ \\ E & B \end{pmatrix}, \qquad ‖E‖ ≤ e,

and B has no eigenvalue above β, which the search for eigenpairs knows (`Eigenpairs.rest`). The
exact eigenvalues of A are λ_j ≥ θ_j by Cauchy's interlacing.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from landscope.linalg.eigenpairs import Eigenpairs

ROUNDING = 50
"""Units in the last place of the largest eigenvalue by which a product is taken to be off."""


@dataclass(frozen=True)
class PairErrors:
    """Bounds on the errors of the k largest eigenpairs, descending.

    Attributes
    ----------
    values : Tensor of shape (k,)
        On |λ_j − θ_j|; where no gap below is known, only some eigenvalue lies as near as r_j.
    angles : Tensor of shape (k,)
        Between v_j and the j-th eigenvector, in radians; π/2 where nothing is known.
    subspace_angles : Tensor of shape (k,)
        The largest principal angle between the first j vectors and the exact subspace.
    """

    values: Float64[Tensor, " k"]
    angles: Float64[Tensor, " k"]
    subspace_angles: Float64[Tensor, " k"]


def top_errors(pairs: Eigenpairs) -> PairErrors:
    r"""Bound the errors of eigenpairs at the top of a spectrum, by descending eigenvalue.

    Parameters
    ----------
    pairs : Eigenpairs
        As `eigsh` gives them for "LA".

    Returns
    -------
    PairErrors

    Notes
    -----
    With γ_j = θ_j − β, λ_j ≤ θ_j + η_j, η_j = 2e²/(γ_j + √(γ_j² + 4e²)), at most e [2]_. All other
    eigenvalues of A, and those of A restricted to the complement of v_j, are then at least

    .. math:: δ_j = \min(θ_{j−1} − θ_j − η_j,\; θ_j − θ_{j+1} − η_{j+1},\; θ_j − β)

    away from λ_j, which gives λ_j − θ_j ≤ r_j²/δ_j and tan ∠(v_j, u_j) ≤ r_j/δ_j. For the first j
    together sin Θ_j ≤ e_j/(θ_j − β_j) [1]_, with e_j from their residuals and β_j the largest that
    an eigenvalue of A on their complement can be. Residuals are taken ``ROUNDING`` units in the
    last place of the largest eigenvalue longer than they were found.

    References
    ----------
    .. [1] C. Davis and W. Kahan, "The rotation of eigenvectors by a perturbation. III", SIAM J.
       Numer. Anal. 7 (1970).
    .. [2] C.-K. Li and R.-C. Li, "A note on eigenvalues of perturbed Hermitian matrices", Linear
       Algebra Appl. 395 (2005).

    Examples
    --------
    >>> import torch
    >>> values, residuals = torch.tensor([[3.0, 1.0], [0.1, 0.1]], dtype=torch.float64)
    >>> pairs = Eigenpairs(values, torch.eye(9, 2), residuals, True, 5, rest=(-1.0, 0.0))
    >>> errors = top_errors(pairs)
    >>> [round(angle, 3) for angle in errors.angles.tolist()]
    [0.05, 0.1]
    """
    size = pairs.values.abs().max().item() or 1.0  # in units of it, no square under- or overflows
    theta, beta = pairs.values / size, pairs.rest[1] / size
    rounding = ROUNDING * torch.finfo(pairs.vectors.dtype).eps
    r = pairs.residuals / size + rounding
    k, e = len(theta), r.norm().item()

    gamma = (theta - beta).clamp_min(0)
    eta = 2 * e**2 / (gamma + (gamma.square() + 4 * e**2).sqrt())
    gaps = theta - beta
    gaps[1:] = torch.minimum(gaps[1:], theta[:-1] - theta[1:] - eta[1:])
    gaps[:-1] = torch.minimum(gaps[:-1], theta[:-1] - theta[1:] - eta[1:])
    known = gaps > 0
    angles = torch.where(known, torch.atan2(r, gaps), math.pi / 2)
    squared = torch.where(known, r.square() / gaps, math.inf)
    values = torch.where(theta > beta, torch.minimum(eta, squared), r) + rounding

    below = [_top_of_complement(theta, r, beta, j) for j in range(1, k + 1)]
    apart = theta - torch.tensor(below, dtype=theta.dtype)
    ratios = torch.where(apart > 0, r.square().cumsum(0).sqrt() / apart, 1.0)
    return PairErrors(size * values, angles, ratios.clamp_max(1.0).arcsin())


def _top_of_complement(
    theta: Float64[Tensor, " k"], r: Float64[Tensor, " k"], beta: float, j: int
) -> float:
    """Largest that an eigenvalue of A on the complement of the first j vectors can be."""
    if j == len(theta) or beta == math.inf:
        return beta
    if beta == -math.inf:  # all is known
        return theta[j].item() + r[j:].norm().item()
    top, e = theta[j].item(), r[j:].norm().item()
    return (top + beta) / 2 + math.hypot((top - beta) / 2, e)


def cosine_errors(
    cosines: Float64[Tensor, " k"], angles: Float64[Tensor, " k"]
) -> Float64[Tensor, " k"]:
    """Bound the error of cosines of a vector with eigenvectors that are known up to an angle.

    By the triangle inequality of angles; where nothing is known of an eigenvector, the magnitude of
    its cosine lies between 0 and 1, and its sign is free.

    Examples
    --------
    >>> import torch
    >>> cosine_errors(torch.tensor([1.0, 0.2]).double(), torch.tensor([0.1, torch.pi / 2]).double())
    tensor([0.0050, 0.8000], dtype=torch.float64)
    """
    size = cosines.abs().clamp_max(1.0)
    alpha = size.arccos()
    lowest = (alpha + angles).clamp_max(math.pi).cos()
    highest = (alpha - angles).clamp_min(0).cos()
    errors = torch.maximum(highest - size, size - lowest)
    return torch.where(angles < math.pi / 2, errors, torch.maximum(size, 1 - size))


def power_errors(
    power: Float64[Tensor, " k"], angles: Float64[Tensor, " k"]
) -> Float64[Tensor, " k"]:
    """Bound the error of a vector's cumulative power in the first 1 … k eigenvectors.

    Parameters
    ----------
    power : Tensor of shape (k,)
        ‖V_jᵀg‖²/‖g‖².
    angles : Tensor of shape (k,)
        The largest principal angle between V_j and the exact subspace.

    Returns
    -------
    Tensor of shape (k,)

    Notes
    -----
    The angle between g and the exact subspace differs from that between g and V_j by no more than
    this. Power is cumulative: within a cluster, whose subspaces are not determined, it lies between
    that above the cluster and that of the cluster as a whole.

    Examples
    --------
    >>> import torch
    >>> angles = torch.tensor([0.0, torch.pi / 2, 0.0]).double()  # a double eigenvalue
    >>> power_errors(torch.tensor([0.25, 0.5, 1.0]).double(), angles).numpy().round(6)
    array([0. , 0.5, 0. ])
    """
    power = power.clamp_max(1.0)
    alpha = power.sqrt().arccos()
    lowest = (alpha + angles).clamp_max(math.pi / 2).cos().square()
    highest = (alpha - angles).clamp_min(0).cos().square()
    lowest = lowest.cummax(0).values
    highest = highest.flip(0).cummin(0).values.flip(0)
    return torch.maximum(highest - power, power - lowest).clamp_min(0)
