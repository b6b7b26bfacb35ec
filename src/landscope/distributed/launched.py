"""The processes that torchrun has started."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist


def is_launched() -> bool:
    """Whether torchrun has started this process."""
    return dist.is_torchelastic_launched()


def leads() -> bool:
    """Whether this process speaks for all that torchrun has started."""
    return not is_launched() or os.environ["RANK"] == "0"


@contextmanager
def launched_group(
    device: str | None = None,
) -> Iterator[tuple[dist.ProcessGroup | None, str | None]]:
    """The group of all processes that torchrun has started, and this one's device.

    Parameters
    ----------
    device : str, optional
        "cuda" is the GPU of this process's number on its machine.

    Yields
    ------
    tuple of ProcessGroup or None and str or None
        No group, and the device as it is, where torchrun has started none.
    """
    if not is_launched():
        yield None, device
        return
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    on_gpu = device is not None and device.startswith("cuda")
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    try:
        yield dist.group.WORLD, device
    finally:
        dist.destroy_process_group()
