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


def span(values: Float64[Tensor, " n"]) -> Margins:
    """The least and the largest of some values, in the wrong order where there are none."""
    if len(values) == 0:
        return Margins(math.inf, -math.inf)
    return Margins(values.min().item(), values.max().item())


def margins(
    values: Float64[Tensor, " n"],
    k: int,
    which: Which,
    negligible: float,
    isolate: bool = False,
    drawn: bool = True,
) -> Margins:
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
    isolate : bool
        Whether a copy of the last wanted eigenvalue matters as well, as it does for what is said of
        eigenvectors: then the margin lies halfway to the next value where that stands clear.
    drawn : bool
        Whether the search began at random. One from vectors that were given may have missed more
        than copies, so that there are always margins to look beyond.

    Returns
    -------
    Margins
        At the wanted eigenvalue nearest to the last wanted one among those that stand clear of it,
        by more than a tenth of what the rest of the spectrum spans; where none does, at the middle
        one; infinite where no copy could change the result.
    """

    def margin(heights: Float64[Tensor, " n"], count: int) -> float:
        return _margin(heights, count, negligible, isolate, drawn)

    match which:
        case "LA":
            return Margins(-math.inf, margin(values, k))
        case "SA":
            return Margins(-margin(-values, k), math.inf)
        case "LM":
            heights = values.abs()
            edge = heights.sort(descending=True).values[k - 1 : k]
            high = margin(torch.cat([heights, -edge]), k)
            return Margins(-high, high)
        case "BE":
            bottom = -margin(-values, k // 2) if k > 1 else -math.inf
            return Margins(bottom, margin(values, (k + 1) // 2))


def _margin(
    heights: Float64[Tensor, " n"], k: int, negligible: float, isolate: bool, drawn: bool
) -> float:
    descending = heights.sort(descending=True).values
    wanted, edge = descending[:k], descending[k - 1]
    standing_clear = max(0.1 * (edge - heights.min()).item(), negligible)
    if isolate and len(descending) > k and edge - descending[k] > standing_clear:
        return (edge + descending[k]).item() / 2
    clear = wanted[wanted - edge > standing_clear]
    margin = clear[-1] if len(clear) else wanted[(k - 1) // 2]
    gap = margin - edge
    if gap > negligible:
        return (margin - 0.05 * gap).item()
    return math.inf if drawn else (edge - negligible / 2).item()
