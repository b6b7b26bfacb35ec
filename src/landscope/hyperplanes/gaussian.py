"""A Gaussian basis that is never stored: redrawn from its seed, some rows at a time."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.hyperplanes.basis import Basis, wide
from landscope.hyperplanes.seeding import generator_of

_ENTRIES_PER_BLOCK = 2**21
"""Numbers from one generator, on one thread."""

_ENTRIES_AT_ONCE = 2**18
"""Of them, 1 MiB: they stay in a core's cache."""

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
        squares = self._sum_over_blocks(
            lambda rows, drawn: drawn.double().square_().sum(0)[:, None], 1, torch.device("cpu")
        )
        self._lengths = squares[:, 0].sqrt().to(device)
        self.orthonormality_bound = _bound(num_params, dim)

    def matmat(self, V: Float[Tensor, "n k"]) -> Float[Tensor, "m k"]:
        """P Θ."""
        scaled = (V / self._lengths[:, None]).to(self.dtype)
        out = torch.empty(self.shape[0], V.shape[1], dtype=self.dtype, device=self.device)

        def fill(block: int, rows: slice, drawn: Float[Tensor, "b n"]) -> None:
            torch.matmul(drawn.to(self.device, self.dtype), scaled, out=out[rows])

        self._over_blocks(fill)
        return out

    def rmatmat(self, U: Float[Tensor, "m k"]) -> Float[Tensor, "n k"]:
        """Pᵀ U."""
        sums = self._sum_over_blocks(
            lambda rows, drawn: drawn.to(self.device, self.dtype).T @ U[rows],
            U.shape[1],
            self.device,
        )
        return (sums / self._lengths[:, None]).to(self.dtype)

    def _sum_over_blocks(
        self, function: Callable[[slice, Tensor], Tensor], columns: int, device: torch.device
    ) -> Float[Tensor, "n k"]:
        """In the order of the rows, however many threads there are."""
        # In place: between sums that stay, what one block frees does not fit the next.
        dtype = wide(device, self.dtype)
        sums = torch.zeros(self._num_blocks, self.shape[1], columns, dtype=dtype, device=device)

        def add(block: int, rows: slice, drawn: Float[Tensor, "b n"]) -> None:
            sums[block] += function(rows, drawn)

        self._over_blocks(add)
        total = sums[0]
        for part in sums[1:]:
            total += part
        return total

    def _over_blocks(self, function: Callable[[int, slice, Tensor], None]) -> None:
        """Call it with each block's number, some of its rows at a time, and what is drawn there."""
        threads = torch.get_num_threads()
        at_once = max(1, _ENTRIES_AT_ONCE // self.shape[1])
        buffers = [torch.empty(at_once, self.shape[1], dtype=torch.float32) for _ in range(threads)]

        def one(block: int) -> None:
            buffer = buffers.pop()
            for rows, drawn in self._drawn(block, buffer):
                function(block, rows, drawn)
            buffers.append(buffer)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(one, range(self._num_blocks)))

    @property
    def _num_blocks(self) -> int:
        return -(-self.shape[0] // self._rows_per_block)

    def _drawn(
        self, block: int, buffer: Float[Tensor, "b n"]
    ) -> Iterator[tuple[slice, Float[Tensor, "b n"]]]:
        generator = generator_of(self._seed, block)
        first = block * self._rows_per_block
        end = min(first + self._rows_per_block, self.shape[0])
        for start in range(first, end, len(buffer)):
            rows = slice(start, min(start + len(buffer), end))
            yield rows, buffer[: rows.stop - rows.start].normal_(generator=generator)


def _bound(num_params: int, dim: int) -> float:
    """Of ‖PᵀP − I‖₂ = max |s² − 1|, s a singular value over the length of a column."""
    root = num_params**0.5
    shortest = max(root - _DEVIATIONS, 0.0)
    if shortest == 0.0:
        return float("inf")
    largest = (root + dim**0.5 + _DEVIATIONS) / shortest
    smallest = max(root - dim**0.5 - _DEVIATIONS, 0.0) / (root + _DEVIATIONS)
    return max(largest**2 - 1, 1 - smallest**2)
