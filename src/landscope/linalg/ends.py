"""Which end of a spectrum is wanted, and how long to look there for what was missed."""

import math
from typing import Literal

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

Which = Literal["LA", "SA", "LM", "BE"]


def by_preference(values: Float64[Tensor, " n"], which: Which) -> Int64[Tensor, " n"]:
    """Give the order from the most to the least wanted eigenvalue.

    Parameters
    ----------
    values : Tensor of shape (n,)
        Eigenvalues in any order.
    which : {"LA", "SA", "LM", "BE"}
        Largest, smallest, largest in magnitude, or top and bottom in turn.

    Returns
    -------
    Tensor of shape (n,)
        Indices.

    Examples
    --------
    >>> values = torch.tensor([-3.0, 1.0, 2.0, 0.0], dtype=torch.float64)
    >>> [values[by_preference(values, which)].tolist() for which in ("LM", "BE")]
    [[-3.0, 2.0, 1.0, 0.0], [2.0, -3.0, 1.0, 0.0]]
    """
    descending = values.argsort(descending=True, stable=True)
    match which:
        case "LA":
            return descending
        case "SA":
            return descending.flip(0)
        case "LM":
            return values.abs().argsort(descending=True, stable=True)
        case "BE":
            in_turn = torch.stack([descending, descending.flip(0)], dim=1)
            return in_turn.flatten()[: len(values)]


def steps_to_notice(
    values: Float64[Tensor, " n"], k: int, which: Which, dim: int, negligible: float
) -> int:
    r"""Lanczos steps after which a missed copy of a wanted eigenvalue would have shown.

    Parameters
    ----------
    values : Tensor of shape (n,)
        Ritz values, the k wanted ones among them converged.
    k : int
        Number of wanted eigenvalues.
    which : {"LA", "SA", "LM", "BE"}
        The wanted end.
    dim : int
        Dimension D of the space.
    negligible : float
        Wanted eigenvalues this close to the last wanted one may be missed: a copy of them would
        not change the result.

    Returns
    -------
    int
        Number of steps from a random vector orthogonal to the wanted eigenvectors; 0 where no
        copy could change the result.

    Notes
    -----
    Let the remaining spectrum lie in [a, b], b the last wanted eigenvalue, but for one missed
    eigenvalue b + γ(b − a). After s steps its component has grown against the rest by the Chebyshev
    polynomial :math:`T_s(1 + 2γ) ≈ \cosh(s \cdot \mathrm{arcosh}(1 + 2γ))`; with 99 % probability
    it was larger than 1/(80√D) at the start. γ is that of the wanted eigenvalue nearest to b with
    γ > 0.1; where all are nearer, of the middle one.
    """
    if which == "BE":
        bottom = steps_to_notice(values, k // 2, "SA", dim, negligible) if k > 1 else 0
        return max(steps_to_notice(values, (k + 1) // 2, "LA", dim, negligible), bottom)
    heights = {"LA": values, "SA": -values, "LM": values.abs()}[which]
    wanted = heights.sort(descending=True).values[:k]
    edge = wanted[-1].item()
    width = 2 * edge if which == "LM" else edge - heights.min().item()
    gaps = wanted - edge
    clear = gaps[gaps > max(0.1 * width, negligible)]
    gap = (clear[-1] if len(clear) else gaps[(k - 1) // 2]).item()
    if gap <= negligible:
        return 0
    if width <= 0:
        return 1
    return math.ceil(math.acosh(80 * math.sqrt(dim)) / math.acosh(1 + 2 * gap / width))
