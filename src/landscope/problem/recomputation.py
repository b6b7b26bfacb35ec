"""Activation checkpointing by passes within the backward pass, which have no derivative."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils import checkpoint


class _Called:
    """In place of the function that recomputes: the checkpointed function itself."""

    @staticmethod
    def apply(function: Any, preserve_rng_state: bool, *inputs: Any) -> Any:
        return function(*inputs)


@contextmanager
def without_reentrant_checkpoints() -> Iterator[None]:
    """Let ``checkpoint(use_reentrant=True)`` call what it is given and keep its activations.

    It runs a backward pass within the backward pass, which has no derivative and takes no inputs.
    """
    recomputing = checkpoint.CheckpointFunction
    checkpoint.CheckpointFunction = _Called  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        checkpoint.CheckpointFunction = recomputing  # type: ignore[misc]
