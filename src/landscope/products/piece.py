"""The product of one piece of the data, in one of the ways."""

import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.products.batch_derivative import BatchDerivative, Product
from landscope.products.traced import TracedProduct


@runtime_checkable
class Piece(Protocol):
    """A V for vectors V, of one piece of the data."""

    def product(self, v: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
        """A v."""

    def block_product(self, columns: Float[Tensor, "k n"]) -> Float[Tensor, "m k"]:
        """A V, from the columns of V as rows."""


class PlainPiece:
    """A product that is one function of the vector."""

    def __init__(self, product: Product) -> None:
        self._product = product

    def product(self, v: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
        """A v."""
        return self._product(v).reshape(-1)

    def block_product(self, columns: Float[Tensor, "k n"]) -> Float[Tensor, "m k"]:
        """A V, one by one."""
        return torch.stack([self.product(v) for v in columns]).T


class TracedPiece:
    """A product by graphs.

    Parameters
    ----------
    derivative : BatchDerivative
        What is differentiated.
    traced : TracedProduct
        Its graphs.
    side_by_side : bool
        Whether the columns of a block go through the graphs at once.

    Attributes
    ----------
    kept : list of Tensor or None
        What the products share; None where it is computed for each.
    """

    def __init__(
        self,
        derivative: BatchDerivative,
        traced: TracedProduct,
        side_by_side: bool = False,
    ) -> None:
        self._derivative, self._traced = derivative, traced
        self._side_by_side = side_by_side
        self.kept: list[Tensor] | None = None

    def product(self, v: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
        """A v."""
        return self._traced.product(self._constants(), self._derivative.directions(v))

    def block_product(self, columns: Float[Tensor, "k n"]) -> Float[Tensor, "m k"]:
        """A V."""
        constants = self._constants()
        directions = [self._derivative.directions(v) for v in columns]
        if self._side_by_side:
            stacked = [torch.stack(parts) for parts in zip(*directions, strict=True)]
            return self._traced.block_product(constants, stacked)
        return torch.stack([self._traced.product(constants, d) for d in directions]).T

    def _constants(self) -> list[Tensor]:
        if self.kept is not None:
            return self.kept
        return self._traced.constants(self._derivative.inputs())


def seconds(work: Callable[[], object], repeats: int = 2) -> float:
    """Shortest time of some runs."""
    times = []
    for _ in range(repeats):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)
