"""Which entries of a vector a process holds, where it is spread over several."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from landscope.distributed.ranks import Ranks


@dataclass(frozen=True)
class Shard:
    """Rows start … stop − 1 of a tensor, as torch's ``Shard(0)`` gives them to one process.

    Attributes
    ----------
    name : str
        The tensor's.
    shape : tuple of int
        Its shape as a whole, n rows along the first dimension.
    start, stop : int
        0 ≤ start ≤ stop ≤ n.
    """

    name: str
    shape: tuple[int, ...]
    start: int
    stop: int

    def __post_init__(self) -> None:
        if not (self.shape and 0 <= self.start <= self.stop <= self.shape[0]):
            raise ValueError(
                f"shard of {self.name!r} must be rows of its shape {self.shape}, "
                f"got {self.start} to {self.stop}"
            )

    @property
    def row(self) -> int:
        """Entries of a row."""
        return math.prod(self.shape[1:])

    @property
    def local_shape(self) -> tuple[int, ...]:
        """Shape of what is held here."""
        return self.stop - self.start, *self.shape[1:]


@dataclass(frozen=True)
class Shards:
    """What a process holds of a vector that consists of flattened tensors in a row.

    Its entries are joined in the same order to the slice that is kept here.

    Attributes
    ----------
    tensors : tuple of Shard
        The tensors, the same ones in the same order on all processes; each is held once by all
        processes together.

    Examples
    --------
    >>> weight, bias = Shard("weight", (4, 3), 2, 4), Shard("bias", (4,), 2, 4)
    >>> shards = Shards((weight, bias))
    >>> shards.dim, shards.local_dim, shards.ranges
    (16, 8, [(6, 12), (14, 16)])
    """

    tensors: tuple[Shard, ...]

    @classmethod
    def of_vector(cls, dim: int, ranks: Ranks) -> "Shards":
        """One flat vector of D entries, of which each process holds its chunk."""
        held = ranks.chunk(dim)
        return cls((Shard("vector", (dim,), held.start, held.stop),))

    @classmethod
    def of_tensors(cls, named: Sequence[tuple[str, tuple[int, ...]]], ranks: Ranks) -> "Shards":
        """Tensors by name and shape, each spread over the processes by its rows."""
        held = ((name, shape, ranks.chunk(shape[0])) for name, shape in named)
        return cls(tuple(Shard(name, shape, rows.start, rows.stop) for name, shape, rows in held))

    @property
    def dim(self) -> int:
        """Entries of the whole vector."""
        return sum(math.prod(shard.shape) for shard in self.tensors)

    @property
    def local_dim(self) -> int:
        """Entries held here."""
        return sum(math.prod(shard.local_shape) for shard in self.tensors)

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """Where they lie in the whole vector: from … up to, in the order of the slice."""
        ranges, offset = [], 0
        for shard in self.tensors:
            ranges.append((offset + shard.start * shard.row, offset + shard.stop * shard.row))
            offset += math.prod(shard.shape)
        return [(start, stop) for start, stop in ranges if start < stop]
