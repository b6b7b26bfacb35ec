"""Standard Gaussian vectors, the same however their entries are spread over processes."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

ENTRIES_PER_DRAW = 2**20  # of a longer vector: a process draws only what it has a part of


def gaussian_rows(
    count: int,
    dim: int,
    ranges: Sequence[tuple[int, int]],
    generator: torch.Generator,
    dtype: torch.dtype,
) -> Float[Tensor, "n d"]:
    """Some entries of independent standard Gaussian vectors, one vector a row.

    Vectors of at most 2²⁰ entries are drawn whole. A longer one is drawn in chunks, each from a
    generator of its own that is seeded by one draw of the given generator, the number of the
    vector and that of the chunk.

    Parameters
    ----------
    count, dim : int
        Number n of vectors, and the dimension D of each.
    ranges : sequence of (int, int)
        The entries wanted: from … up to.
    generator : torch.Generator
        Moves on by the same draws whichever entries are wanted.
    dtype : torch.dtype
        Their type, float32 or float64.

    Returns
    -------
    Tensor of shape (n, d)
        On the CPU; d is the number of entries wanted.
    """
    if dim <= ENTRIES_PER_DRAW:
        numbers = torch.randn(count, dim, generator=generator, dtype=dtype)
        if list(ranges) == [(0, dim)]:
            return numbers
        return torch.cat([numbers[:, :0], *(numbers[:, a:b] for a, b in ranges)], dim=1)
    seed = int(torch.randint(2**62, (1,), generator=generator))
    rows = torch.empty(count, sum(stop - start for start, stop in ranges), dtype=dtype)
    for chunk, parts in _parts_by_chunk(ranges).items():
        length = min(ENTRIES_PER_DRAW, dim - chunk * ENTRIES_PER_DRAW)
        for vector, row in enumerate(rows):
            numbers = _gaussian(length, (seed, vector, chunk), dtype)
            for place, start, stop in parts:
                row[place : place + stop - start] = numbers[start:stop]
    return rows


def _parts_by_chunk(ranges: Sequence[tuple[int, int]]) -> dict[int, list[tuple[int, int, int]]]:
    """For each chunk: where its parts begin in a row, and from … up to where they lie in it."""
    parts: dict[int, list[tuple[int, int, int]]] = {}
    place = 0
    for start, stop in ranges:
        while start < stop:
            chunk, first = divmod(start, ENTRIES_PER_DRAW)
            last = min(ENTRIES_PER_DRAW, first + stop - start)
            parts.setdefault(chunk, []).append((place, first, last))
            place, start = place + last - first, start + last - first
    return parts


def _gaussian(length: int, seed: tuple[int, int, int], dtype: torch.dtype) -> Float[Tensor, " d"]:
    kind = np.float32 if dtype == torch.float32 else np.float64
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(length, dtype=kind))
