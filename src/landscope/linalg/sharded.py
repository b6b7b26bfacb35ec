"""Vectors spread over processes: each holds its slice of every one."""

import torch
from jaxtyping import Float, Float64, Int64, Shaped
from torch import Tensor

from landscope.distributed import Ranks, Shards
from landscope.linalg.space import DenseSpace

_MIXER = -7_046_029_254_386_353_131  # 2⁶⁴ divided by the golden ratio, as a signed number


class ShardedSpace(DenseSpace):
    """R^D with each process holding some entries of every vector.

    An inner product is the sum over processes of what each finds in its slices, by one all-reduce
    of a small matrix. All processes call the same methods in the same order, and the same
    algorithms run on all of them; memory for vectors falls as 1/ranks.

    Parameters
    ----------
    shards : Shards
        Which entries this process holds; ``Shards.of_vector(dim, ranks)`` for equal chunks.
    dtype, device
        As for `DenseSpace`.
    ranks : Ranks
        The processes that hold the vectors together.

    Notes
    -----
    Small matrices are diagonalised by each process alone, from the same numbers: the processes
    run on CPUs of one kind, with the same number of threads.
    """

    def __init__(
        self, shards: Shards, dtype: torch.dtype, device: torch.device | str, ranks: Ranks
    ):
        super().__init__(shards.dim, dtype, device)
        self.local_dim, self.ranges = shards.local_dim, shards.ranges
        self.shards, self.ranks = shards, ranks

    def agreed(self, small: Float64[Tensor, "*n"]) -> Float64[Tensor, "*n"]:
        """Σ over processes."""
        return self.ranks.total(small.to(self.device)).cpu()

    def identity(self) -> Float[Tensor, "d D"]:
        """The rows of the coordinate vectors that this process holds."""
        held = torch.arange(self.local_dim)
        rows = torch.zeros(self.local_dim, self.dim, dtype=self.dtype)
        rows[held, self._positions(held)] = 1
        return rows.to(self.device)

    def extremes(self, block: Float[Tensor, "D b"]) -> Float64[Tensor, " b"]:
        """The entry of largest magnitude of each vector, the first one of several."""
        found = torch.zeros(self.ranks.size, 2, block.shape[1], dtype=torch.float64)
        found[self.ranks.rank, 1] = self.dim
        if self.local_dim:
            largest = block.abs().argmax(0, keepdim=True)
            found[self.ranks.rank, 0] = block.gather(0, largest)[0].cpu().double()
            found[self.ranks.rank, 1] = self._positions(largest[0].cpu()).double()
        entries, places = self.agreed(found).unbind(dim=1)
        highest = entries.abs() == entries.abs().max(dim=0).values
        first = torch.where(highest, places, self.dim + 1).argmin(dim=0, keepdim=True)
        return entries.gather(0, first)[0]

    def all_finite(self, block: Float[Tensor, "D b"]) -> bool:
        """Whether no entry on any process is NaN or infinite."""
        mine = torch.isfinite(block).logical_not().sum().cpu().double()
        return self.agreed(mine).item() == 0

    def digest(self, block: Shaped[Tensor, "D *b"]) -> str:
        """A short fingerprint of some vectors, the same for any number of processes.

        Σ of the entries' bits, each times an odd number of its own, modulo 2⁶⁴.
        """
        entries = block.detach().cpu().to(self.dtype).reshape(self.local_dim, -1).contiguous()
        bits = entries.view(torch.int32 if self.dtype == torch.float32 else torch.int64).long()
        columns = torch.arange(bits.shape[1])
        places = self._positions(torch.arange(self.local_dim))[:, None] * len(columns) + columns
        mine = int((bits * (places * _MIXER | 1)).sum())
        halves = torch.tensor([mine >> 32, mine & (2**32 - 1)])  # their sums do not overflow
        high, low = self.ranks.total(halves.to(self.device)).tolist()
        return f"{((high << 32) + low) % 2**64:016x}"

    def _positions(self, held: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
        """Where entries of the slice lie in the whole vector."""
        starts, stops = torch.tensor(self.ranges, dtype=torch.int64).reshape(-1, 2).unbind(dim=1)
        ends = (stops - starts).cumsum(0)
        return held + (stops - ends)[torch.searchsorted(ends, held, right=True)]
