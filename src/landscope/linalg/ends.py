"""Which end of a spectrum is wanted, and where a copy missed there would matter."""

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float64, Int64
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


class Margins(NamedTuple):
    """No copy of an eigenvalue at most ``low`` or from ``high`` on may be missed."""

    low: float
    high: float

    def beyond(self, values: Float64[Tensor, " n"]) -> Bool[Tensor, " n"]:
        """Whether values lie at or outside of the margins."""
        return (values <= self.low) | (values >= self.high)

    @property
    def points(self) -> list[float]:
        """The finite ones of the two."""
        return [point for point in self if math.isfinite(point)]


def margins(values: Float64[Tensor, " n"], k: int, which: Which, negligible: float) -> Margins:
    """Give the margins beyond which a missed copy of a wanted eigenvalue would change the result.

    Parameters
    ----------
    values : Tensor of shape (n,)
        Ritz values, n ≥ k.
    k : int
        Number of wanted eigenvalues.
    which : {"LA", "SA", "LM", "BE"}
        The wanted end.
    negligible : float
        Copies of wanted eigenvalues this close to the last wanted one would not matter.

    Returns
    -------
    Margins
        At the wanted eigenvalue nearest to the last wanted one among those that stand clear of it,
        by more than a tenth of what the rest of the spectrum spans; where none does, at the middle
        one; infinite where no copy could change the result.
    """
    match which:
        case "LA":
            return Margins(-math.inf, _margin(values, k, negligible))
        case "SA":
            return Margins(-_margin(-values, k, negligible), math.inf)
        case "LM":
            heights = values.abs()
            edge = heights.sort(descending=True).values[k - 1 : k]
            margin = _margin(torch.cat([heights, -edge]), k, negligible)
            return Margins(-margin, margin)
        case "BE":
            bottom = -_margin(-values, k // 2, negligible) if k > 1 else -math.inf
            return Margins(bottom, _margin(values, (k + 1) // 2, negligible))


def _margin(heights: Float64[Tensor, " n"], k: int, negligible: float) -> float:
    wanted = heights.sort(descending=True).values[:k]
    edge = wanted[-1]
    clear = wanted[wanted - edge > max(0.1 * (edge - heights.min()).item(), negligible)]
    margin = clear[-1] if len(clear) else wanted[(k - 1) // 2]
    gap = margin - edge
    return (margin - 0.05 * gap).item() if gap > negligible else math.inf
