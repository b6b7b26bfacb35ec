"""Products with an operator: checked at the door, counted, finite."""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from landscope.linalg.offloaded import stored_in
from landscope.linalg.space import VectorSpace, space_of

USUAL_PRODUCTS = 30
"""Products that an algorithm makes at least, where D is no smaller."""


def expect(A: Any, num_products: int) -> None:
    """Let an operator that chooses its way by it know how many products are to come."""
    if callable(announce := getattr(A, "expect", None)):
        announce(num_products)


class CountedProduct:
    """V ↦ AV for a square operator, with the number of vectors that A was applied to.

    Parameters
    ----------
    A : operator
        Anything with ``@`` on vectors (D,) and blocks (D, b), ``shape``, ``dtype`` and ``device``;
        one whose vectors are not dense tensors also names its ``space``, one that multiplies
        blocks at a price also the width at which a vector costs least, ``block_size``. One that
        has ``expect`` is told how many products are to come.
    storage : {"device", "host", "disk"} or Path
        Where a basis of vectors is kept: with A, in host memory, in a temporary file, or in one in
        the folder that is named.

    Raises
    ------
    TypeError
        If ``A`` lacks one of these, or is neither float32 nor float64.
    ValueError
        If ``A`` is not square or acts on a space of no dimension.

    Attributes
    ----------
    space : VectorSpace
        What A acts in.
    count : int
        Number of vectors that A was applied to.
    unit : float
        1, but where A is measured in another unit, see `NormalisedProduct`.
    """

    def __init__(self, A: Any, storage: str | Path = "device"):
        missing = [name for name in ("shape", "dtype", "device") if not hasattr(A, name)]
        if missing or not hasattr(type(A), "__matmul__"):
            raise TypeError(
                f"A must have @, shape, dtype and device, got {type(A).__name__} "
                f"without {', '.join(missing) or '@'}"
            )
        if len(A.shape) != 2 or A.shape[0] != A.shape[1] or A.shape[0] < 1:
            raise ValueError(f"A must be square with at least one row, got shape {tuple(A.shape)}")
        if A.dtype not in (torch.float32, torch.float64):
            raise TypeError(f"A must be of dtype torch.float32 or torch.float64, got {A.dtype}")
        expect(A, min(USUAL_PRODUCTS, A.shape[0]))
        self.operator = A
        self.space: VectorSpace = stored_in(space_of(A), storage)
        self.block_size: int | None = getattr(A, "block_size", None)
        self.count = 0
        self.unit = 1.0  # products are those of A / unit

    def __call__(self, block: Float[Tensor, "D b"]) -> Float[Tensor, "D b"]:
        """Give AV, by blocks of the width that A names, as a whole where it names none."""
        return self.measured(block)[0]

    def measured(
        self, block: Float[Tensor, "D b"]
    ) -> tuple[Float[Tensor, "D b"], Float64[Tensor, " b"]]:
        """Give AV and the length of each product, by which all processes know that it is finite.

        Raises
        ------
        FloatingPointError
            If a product contains NaN or infinity, be it on one process.
        """
        images = self._images(block)
        lengths = self.space.norms(images)
        suspect = not bool(lengths.isfinite().all())  # a square alone may overflow
        if suspect and not self.space.all_finite(images):
            raise FloatingPointError(
                f"product {self.count} with {type(self.operator).__name__} contains NaN or "
                "infinity: check the loss and the weights at this point"
            )
        return images, lengths

    def _images(self, block: Float[Tensor, "D b"]) -> Float[Tensor, "D b"]:
        """Give AV, by blocks of the width that A names."""
        width = self.block_size or block.shape[1]
        if block.shape[1] <= width:
            return self._product(block)
        return torch.cat([self._product(part) for part in block.split(width, dim=1)], dim=1)

    def _product(self, block: Float[Tensor, "D b"]) -> Float[Tensor, "D b"]:
        """Give AV by one application of A; one column goes through it as a vector."""
        single = block.shape[1] == 1
        image = self.operator @ (block[:, 0] if single else block)
        image = image[:, None] if single else image
        self.count += block.shape[1]
        return image
