"""Compute on a fixed number of threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def on_threads(count: int = 1) -> Iterator[None]:
    """Compute on so many threads, and leave their number as it was.

    One is the fastest for operations this small, which spend more on handing work to a second one:
    on a machine that is busy besides, waiting for it made products several times slower.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
