"""Products with an operator: checked at the door, counted, finite."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.linalg.space import VectorSpace, space_of


class CountedProduct:
    """V ↦ AV for a square operator, with the number of vectors that A was applied to.

    Parameters
    ----------
    A : operator
        Anything with ``@`` on vectors (D,) and blocks (D, b), ``shape``, ``dtype`` and ``device``;
        one whose vectors are not dense tensors also names its ``space``.

    Raises
    ------
    TypeError
        If ``A`` lacks one of these, or is neither float32 nor float64.
    ValueError
        If ``A`` is not square or acts on a space of no dimension.
    """

    def __init__(self, A: Any):
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
        self.operator = A
        self.space: VectorSpace = space_of(A)
        self.count = 0

    def __call__(self, block: Float[Tensor, "D b"]) -> Float[Tensor, "D b"]:
        """Give AV; a block of one column goes through A as a vector."""
        single = block.shape[1] == 1
        image = self.operator @ (block[:, 0] if single else block)
        image = image[:, None] if single else image
        self.count += block.shape[1]
        suspect = not bool(torch.isfinite(image.sum()))  # one pass; the sum alone may overflow
        if suspect and not bool(torch.isfinite(image).all()):
            raise FloatingPointError(
                f"product {self.count} with {type(self.operator).__name__} contains NaN or "
                "infinity: check the loss and the weights at this point"
            )
        return image
