"""Products with an operator in a unit of its own, so that no square under- or overflows."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.linalg.product import CountedProduct


class NormalisedProduct(CountedProduct):
    """V ↦ AV/c, with c a power of two near the entries of the first product that is not zero.

    Squares of numbers below 1e-154 are zero in float64, of numbers below 1e-19 in float32, and
    then a vector that is not zero has no length. Whatever is computed from AV/c is multiplied by c
    at the end; as a power of two, c rounds nothing. It is 1 where the entries lie between
    2^-150 and 2^150 (2^-30 and 2^30 in float32).

    Parameters
    ----------
    A, storage
        As for `CountedProduct`.

    Examples
    --------
    >>> product = NormalisedProduct(1e-200 * torch.eye(3, dtype=torch.float64))
    >>> image = product(torch.ones(3, 1, dtype=torch.float64))
    >>> round(product.space.norms(image).item() * product.unit / 1e-200, 6)
    1.732051
    """

    _found = False

    def _images(self, block: Float[Tensor, "D b"]) -> Float[Tensor, "D b"]:
        images = super()._images(block)
        if not self._found and self.unit == 1.0:  # another one is that of an earlier search
            self._find_unit(block.shape[1], images)
        return images if self.unit == 1.0 else images / self.unit

    def _find_unit(self, width: int, images: Float[Tensor, "D b"]) -> None:
        """Choose c by the largest entry of a product."""
        largest = self.space.extremes(images).abs().max().item()
        if largest == 0 or not math.isfinite(largest):
            return
        self._found = True
        if unit_near(largest, self.space.dtype) == 1.0:
            return
        if width == 1 and self.space.dim > 1:  # one vector alone may be a special one
            drawn = self.space.random(1, torch.Generator().manual_seed(0))
            largest = max(largest, self.space.extremes(super()._images(drawn)).abs().item())
        self.unit = unit_near(largest, self.space.dtype)


def unit_near(largest: float, dtype: torch.dtype) -> float:
    """Give c for entries of a magnitude."""
    usual, most = (30, 120) if dtype == torch.float32 else (150, 1000)
    exponent = math.log2(largest) if largest > 0 else 0.0
    return 1.0 if abs(exponent) <= usual else 2.0 ** max(-most, min(most, round(exponent)))
