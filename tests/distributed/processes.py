"""Processes on this machine that compute together by gloo, kept for all tests of a run."""

import atexit
import multiprocessing as mp
import tempfile
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

MOST = 4
SIZES = [pytest.param(size, marks=pytest.mark.slow) for size in (1, 4)] + [2]
"""Numbers of processes that a test runs on; four on two cores are slow."""
TIMEOUT = timedelta(minutes=5)
PRELOADED = [
    "torch",
    "torch._dynamo",
    "torch.distributed.checkpoint",
    "torch.distributed.fsdp",
    "conftest",
    "landscope",
]
"""What processes would import one by one, in seconds each, is imported once and forked."""


class FailedProcessError(Exception):
    """What a process raised, by its number."""

    def __init__(self, errors: dict[int, BaseException]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{rank}: {error!r}" for rank, error in errors.items()))


def on_ranks(size: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Call function(group, *arguments) in 1, 2 or 4 processes; what each of them returns.

    The function stands at the top of a module, and its results can be pickled.
    """
    errors = {}
    results = []
    pipes = _pipes()[:size]
    for pipe in pipes:
        pipe.send((size, function, arguments))
    for rank, pipe in enumerate(pipes):
        succeeded, result = pipe.recv()
        if not succeeded:
            errors[rank] = result
        results.append(result)
    if errors:
        raise FailedProcessError(errors)
    return results


def start(target: Callable[..., None], *arguments: Any) -> tuple[Any, Any]:
    """Start target(*arguments, pipe) in a process that has torch already; it, and its pipe."""
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    here, there = context.Pipe()
    process = context.Process(target=target, args=(*arguments, there), daemon=True)
    process.start()
    return process, here


@cache
def _pipes() -> list[Any]:
    """Start the processes; they end with this one."""
    file = tempfile.mktemp(prefix="landscope-ranks-")
    pipes = [start(_serve, rank, file)[1] for rank in range(MOST)]
    atexit.register(lambda: [pipe.send(None) for pipe in pipes])
    return pipes


def _serve(rank: int, file: str, pipe: Any) -> None:
    import conftest  # noqa: F401 - threads as in all tests
    import jaxtyping
    import torch.distributed as dist

    dist.init_process_group(
        "gloo", init_method=f"file://{file}", rank=rank, world_size=MOST, timeout=TIMEOUT
    )
    # Shapes are as in the first: one looks at them.
    jaxtyping.config.update("jaxtyping_disable", rank > 0)
    groups = {size: dist.new_group(list(range(size))) for size in (1, 2, MOST)}
    while (task := pipe.recv()) is not None:
        size, function, arguments = task
        try:
            pipe.send((True, function(groups[size], *arguments)))
        except Exception as error:
            pipe.send((False, error))
