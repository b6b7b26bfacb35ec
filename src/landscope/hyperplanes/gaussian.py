"""A Gaussian basis that is never stored: redrawn from its seed, some rows at a time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.hyperplanes.basis import Basis, wide
from landscope.hyperplanes.seeding import generator_of

_ENTRIES_PER_BLOCK = 2**21
"""Numbers drawn at once, 8 MiB on each thread."""

_DEVIATIONS = 6.0
"""Singular values of a Gaussian matrix lie so far outside with a probability below 2e-8."""


class GaussianBasis(Basis):
    """Independent Gaussian columns of unit length.

    Parameters
    ----------
    num_params, dim : int
        D and d.
    seed : int
        Of all entries.
    dtype, device
        Of P. Entries are drawn in float32 on the CPU, whatever these are.

    Notes
    -----
    Rows come in blocks with a generator each, so that threads draw them side by side and a product
    holds nothing beside its two vectors: 3 GB at D = 10⁸, d = 100. Singular values of a Gaussian
    D × d matrix lie within √D ± (√d + t) but for a probability of 2 exp(−t²/2) (Davidson & Szarek
    2001), and columns are within √D ± t long.

    Examples
    --------
    >>> P = GaussianBasis(10_000, 3, seed=0, dtype=torch.float64, device=torch.device("cpu"))
    >>> x = torch.ones(3, dtype=torch.float64)
    >>> (P.T @ (P @ x) - x).norm() < P.orthonormality_bound * x.norm()
    tensor(True)
    """

    def __init__(
        self, num_params: int, dim: int, seed: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__((num_params, dim), dtype, device)
        self._seed = seed
        self._rows_per_block = max(1, _ENTRIES_PER_BLOCK // dim)
        squares = self._sum_over_blocks(lambda rows, block: block.double().square().sum(0))
        self._lengths = squares.sqrt().to(device)
        self.orthonormality_bound = _bound(num_params, dim)

    def matmat(self, V: Float[Tensor, "n k"]) -> Float[Tensor, "m k"]:
        """P Θ."""
        scaled = (V / self._lengths[:, None]).to(self.dtype)
        out = torch.empty(self.shape[0], V.shape[1], dtype=self.dtype, device=self.device)

        def fill(rows: slice, block: Float[Tensor, "b n"]) -> None:
            torch.matmul(block.to(self.device, self.dtype), scaled, out=out[rows])

        self._over_blocks(fill)
        return out

    def rmatmat(self, U: Float[Tensor, "m k"]) -> Float[Tensor, "n k"]:
        """Pᵀ U."""
        sums = self._sum_over_blocks(
            lambda rows, block: (block.to(self.device, self.dtype).T @ U[rows]).to(
                wide(self.device, self.dtype)
            )
        )
        return (sums / self._lengths[:, None]).to(self.dtype)

    def _sum_over_blocks(self, function: Callable[[slice, Tensor], Tensor]) -> Tensor:
        """In the order of the rows, however many threads there are."""
        total: Tensor | None = None
        for part in self._over_blocks(function):
            total = part if total is None else total + part
        assert total is not None, "there is at least one row"
        return total

    def _over_blocks(self, function: Callable[[slice, Tensor], Tensor | None]) -> list:
        D, height = self.shape[0], self._rows_per_block
        threads = torch.get_num_threads()

        def one(number: int) -> Tensor | None:
            rows = slice(number * height, min((number + 1) * height, D))
            return function(rows, self._drawn(number, rows.stop - rows.start))

        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(one, range(-(-D // height))))

    def _drawn(self, number: int, height: int) -> Float[Tensor, "b n"]:
        generator = generator_of(self._seed, number)
        return torch.randn(height, self.shape[1], generator=generator, dtype=torch.float32)


def _bound(num_params: int, dim: int) -> float:
    """Of ‖PᵀP − I‖₂ = max |s² − 1|, s a singular value over the length of a column."""
    root = num_params**0.5
    shortest = max(root - _DEVIATIONS, 0.0)
    if shortest == 0.0:
        return float("inf")
    largest = (root + dim**0.5 + _DEVIATIONS) / shortest
    smallest = max(root - dim**0.5 - _DEVIATIONS, 0.0) / (root + _DEVIATIONS)
    return max(largest**2 - 1, 1 - smallest**2)
