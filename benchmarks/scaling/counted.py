"""The collectives that torch.distributed is asked for: how often, and on how many bytes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

import torch.distributed as dist
from torch import Tensor

LARGER = ("all_gather_into_tensor", "reduce_scatter_tensor")
LARGER += ("all_gather_single", "reduce_scatter_single")  # as later releases call the same
NAMES = tuple(name for name in ("all_reduce", "broadcast", *LARGER) if hasattr(dist, name))
"""Collectives on one tensor, or on a part and a whole."""


SMALL = 1024
"""Bytes up to which a message is about a few numbers, not about vectors."""


@dataclass
class Counted:
    """Calls of one process.

    Attributes
    ----------
    calls : list of (str, int)
        The collective's name, and the bytes of the whole.
    """

    calls: list[tuple[str, int]] = field(default_factory=list)

    @property
    def of_vectors(self) -> list[tuple[str, int]]:
        """Those that exchange vectors, or parts of them."""
        return [(name, size) for name, size in self.calls if size > SMALL]

    @property
    def payload(self) -> int:
        """Bytes of these."""
        return sum(size for _, size in self.of_vectors)

    @property
    def agreements(self) -> int:
        """How many of the others."""
        return len(self.calls) - len(self.of_vectors)


@contextmanager
def counted() -> Iterator[Counted]:
    """Count what this process asks for inside."""
    found = Counted()

    def noting(name: str) -> Callable[..., object]:
        original = getattr(dist, name)

        def call(*arguments: object, **named: object) -> object:
            tensors = [x for x in (*arguments, *named.values()) if isinstance(x, Tensor)]
            found.calls.append((name, max(x.nbytes for x in tensors)))
            return original(*arguments, **named)

        return call

    with ExitStack() as patches:
        for name in NAMES:
            patches.enter_context(patch.object(dist, name, noting(name)))
        yield found
