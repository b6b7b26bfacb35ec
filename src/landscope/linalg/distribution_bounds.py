"""Bounds of Chebyshev, Markov and Stieltjes on the distribution function of a probe."""

import math

import torch
from jaxtyping import Float64
from torch import Tensor

STEP = 1.0  # of the integral, in ln y: its error is of order exp(−π²/STEP) = 5e-5, times ρ
TAIL = 1e-4  # what is left out at either end, times ρ
SLACK = 1e-3  # by which the bounds are wider, times ρ: more than these errors
NEAREST = 1e-14  # a node to x, over the largest: rounding moves nodes as far
ENTRIES = 500_000  # numbers in work at a time: they stay in a processor's cache


def distribution_bounds(
    x: Float64[Tensor, " p"],
    nodes: Float64[Tensor, "n m"],
    weights: Float64[Tensor, "n m"],
    border: Float64[Tensor, "n m"],
) -> tuple[Float64[Tensor, "n p"], Float64[Tensor, "n p"]]:
    r"""Bound the share of a probe's spectral measure up to x: L ≤ F(x−) ≤ F(x) ≤ U.

    Parameters
    ----------
    x : Tensor of shape (p,)
        Finite points.
    nodes, weights : Tensor of shape (n, m)
        Ritz values θ_j and squared first components c_j² of their vectors, for each of n probes;
        the weights of a probe add up to 1. Nodes of weight and border 0 change nothing.
    border : Tensor of shape (n, m)
        c_j z_j/|c_j|, with z_j the component of Aq_j along the next Krylov vector: z = β_m s_m. All
        are 0 where the Krylov space is exhausted; then L = U.

    Returns
    -------
    tuple of Tensor of shape (n, p)
        L and U.

    Notes
    -----
    The m steps fix 2m moments of the measure, by the tridiagonal T and β_m. Of all measures with
    these moments, the Gauss–Radau quadrature that has a node at x puts the least mass to the left
    of x and the most up to x [1]_ [2]_: its nodes are the eigenvalues of

    .. math:: \tilde T = \begin{pmatrix} Θ & z \\ z^⊤ & ω \end{pmatrix}, \qquad
              ω = x − \sum_j \frac{z_j^2}{x − θ_j}.

    So U − L is the weight of x (the Christoffel function of the measure)

    .. math:: ρ = \frac{\left(\sum_j c_j z_j/d_j\right)^2}{1 + \sum_j z_j^2/d_j^2},
              \qquad d_j = x − θ_j.

    The nodes on its left need not be found. By Cauchy's formula the difference to the sum W of
    the Gauss weights up to x is an integral along the vertical through x, on which no pole lies but
    that at x, of which it takes one half:

    .. math:: \frac{L + U}{2} = W + \frac{1}{π} \int_0^∞ \mathrm{Im}\,\frac{N(y)^2}{g(y)}\,
              \frac{\mathrm{d}y}{y}, \quad N = \sum_j \frac{c_j z_j}{d_j + \mathrm{i}y}, \quad
              g = 1 + \sum_j \frac{z_j^2}{d_j (d_j + \mathrm{i}y)}.

    In ln y the trapezoidal rule converges exponentially, whatever the distances of the nodes. Few
    points do: the bounds are given 0.001 ρ wider, which covers their error.

    References
    ----------
    .. [1] S. Karlin and W. Studden, "Tchebycheff Systems", Wiley (1966), chapter IV.
    .. [2] G. Golub and G. Meurant, "Matrices, Moments and Quadrature with Applications",
       Princeton University Press (2010), chapter 6.

    Examples
    --------
    One step for eigenvalues ±1 of equal weight: T = (0), β = 1.

    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> L, U = distribution_bounds(one[0], 0 * one, one, one)
    >>> L.item(), U.item()
    (0.5, 1.0)
    """
    unit = torch.maximum(nodes.abs().max(), border.abs().max()).item() or 1.0
    nodes, border = nodes / unit, border / unit
    # Beyond a million units, the bounds are those at a million.
    x = (x / unit).clamp(-1e6, 1e6)
    d = x[:, None, None] - nodes
    W = (weights * (d >= 0)).sum(2)
    if not border.any():
        return W.T.clamp(0, 1), W.T.clamp(0, 1)
    nearest = torch.where(d < 0, -NEAREST, NEAREST)  # on its own side, as W has it
    d = torch.where(d.abs() < NEAREST, nearest, d)
    across, squares = weights.sqrt() * border, border**2
    rho = (across / d).sum(2) ** 2 / (1 + (squares / d**2).sum(2))
    most_points = max(1, ENTRIES // (nodes.numel() * 30))
    shifts = [_shift(part, across, squares) for part in d.split(most_points)]
    middle = W + torch.cat(shifts)
    half = (0.5 + SLACK) * rho
    low = torch.minimum(torch.maximum(middle - half, W - rho), W)
    high = torch.maximum(torch.minimum(middle + half, W + rho), W)
    return low.T.clamp(0, 1), high.T.clamp(0, 1)


def _shift(
    d: Float64[Tensor, "p n m"], across: Float64[Tensor, "n m"], squares: Float64[Tensor, "n m"]
) -> Float64[Tensor, "p n"]:
    """(L + U)/2 − W, the integral."""
    distances = d.abs()
    apart = torch.where(squares > 0, distances, torch.inf).amin(2)
    # N²/g falls like 1/y² from the farthest node on, and from where g has come near 1.
    farthest = torch.maximum(distances.amax(2), (squares / distances).sum(2))
    first, last = (apart.minimum(farthest) * TAIL).log(), (farthest / TAIL**0.5).log()
    steps = torch.arange(math.ceil((last - first).max().item() / STEP) + 1, dtype=d.dtype)
    y = (first[..., None] + STEP * steps).exp()
    inverse = 1 / (d[..., None] ** 2 + y[..., None, :] ** 2)  # of |d + iy|²
    factors = torch.stack(torch.broadcast_tensors(across * d, across, squares, squares / d), dim=2)
    N_real, N_imaginary, g_real, g_imaginary = (factors @ inverse).unbind(2)
    N = torch.complex(N_real, -y * N_imaginary)
    g = torch.complex(1 + g_real, -y * g_imaginary)
    return (N**2 / g).imag.sum(2) * (STEP / math.pi)
