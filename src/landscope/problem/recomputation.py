"""Activation checkpointing, which runs the model again in the backward pass.

There it has its own weights, not those that are measured; with ``use_reentrant=True`` it has no
second derivative either.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from torch.utils import checkpoint


class _Called:
    """In place of the autograd function that recomputes: the checkpointed function itself."""

    @staticmethod
    def apply(function: Any, preserve_rng_state: bool, *inputs: Any) -> Any:
        return function(*inputs)


def _nothing(*_: Any, **__: Any) -> Iterator[None]:
    """In place of what surrounds a call that hooks on saved tensors recompute."""
    yield


# Names of several versions of torch.
REPLACED: dict[str, Any] = {
    "CheckpointFunction": _Called,
    "_checkpoint_without_reentrant_generator": _nothing,
    "_checkpoint_without_reentrant_generator_impl": _nothing,
}


@contextmanager
def without_recomputation() -> Iterator[None]:
    """Let `torch.utils.checkpoint` call what it is given and keep its activations."""
    known = {name: value for name, value in REPLACED.items() if hasattr(checkpoint, name)}
    with patch.multiple(checkpoint, **known):
        yield
