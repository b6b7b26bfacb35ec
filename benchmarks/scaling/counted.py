"""The collectives that torch.distributed is asked for: how often, and on how many bytes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

import torch.distributed as dist
from torch import Tensor

WHOLE: dict[str, Callable[..., Tensor]] = {
    "all_reduce": lambda tensor, *_, **__: tensor,
    "broadcast": lambda tensor, *_, **__: tensor,
    "all_gather_into_tensor": lambda output_tensor, *_, **__: output_tensor,
    "reduce_scatter_tensor": lambda output, input, *_, **__: input,
}
"""Of each collective the tensor that holds whole vectors."""


@dataclass
class Counted:
    """Calls of one process.

    Attributes
    ----------
    sizes : dict
        Bytes of each call by the collective's name.
    """

    sizes: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in WHOLE})

    @property
    def calls(self) -> int:
        """How many."""
        return sum(map(len, self.sizes.values()))

    @property
    def payload(self) -> int:
        """Bytes of all of them."""
        return sum(map(sum, self.sizes.values()))


@contextmanager
def counted() -> Iterator[Counted]:
    """Count what this process asks for inside."""
    found = Counted()

    def noting(name: str) -> Callable[..., object]:
        original, whole = getattr(dist, name), WHOLE[name]

        def call(*arguments: object, **named: object) -> object:
            tensor = whole(*arguments, **named)
            found.sizes[name].append(tensor.numel() * tensor.element_size())
            return original(*arguments, **named)

        return call

    with ExitStack() as patches:
        for name in WHOLE:
            patches.enter_context(patch.object(dist, name, noting(name)))
        yield found
