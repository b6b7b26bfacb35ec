"""No more threads than other programs leave cores for.

The threads of an operation wait for the last of them, and the one that waits for a core holds up
all: beside two busy programs on two cores, a product took up to 15 times as long on two threads as
on one.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import torch

LOOK_EVERY = 0.2
"""Seconds between two looks at what other programs do: some twenty ticks of the system's clock."""


class OtherPrograms:
    """Cores that other programs keep busy, by the time they took between two looks.

    Parameters
    ----------
    seconds_of_others : callable
        CPU seconds that other programs have taken so far.
    clock : callable
        Seconds that have passed so far.

    Examples
    --------
    >>> clock, taken = iter([0.0, 0.1, 2.0]), iter([5.0, 8.0])
    >>> others = OtherPrograms(lambda: next(taken), lambda: next(clock))
    >>> others.cores()  # too early to say
    0.0
    >>> others.cores()
    1.5
    """

    def __init__(
        self,
        seconds_of_others: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds_of_others, self._clock = seconds_of_others, clock
        self._looked, self._taken = clock(), seconds_of_others()
        self._cores = 0.0

    def cores(self) -> float:
        """How many cores they keep busy: at the last look, where that was just now."""
        now = self._clock()
        if now - self._looked >= LOOK_EVERY:
            taken = self._seconds_of_others()
            self._cores = max(0.0, taken - self._taken) / (now - self._looked)
            self._looked, self._taken = now, taken
        return self._cores


def seconds_of_others() -> float:
    """CPU seconds that all programs but this process have taken."""
    everyone, own = psutil.cpu_times()._asdict(), psutil.Process().cpu_times()
    no_work = ("idle", "iowait", "guest", "guest_nice")  # guests are counted as users too
    busy = sum(seconds for kind, seconds in everyone.items() if kind not in no_work)
    return busy - own.user - own.system


others = OtherPrograms(seconds_of_others)
cores = os.cpu_count() or 1


@contextmanager
def on_free_cores() -> Iterator[None]:
    """Compute on at most as many threads as cores are free, and on one at least.

    The number that torch was set to is set again afterwards. It changes results by no more than
    rounding.
    """
    before = torch.get_num_threads()
    free = before if before == 1 else max(1, min(before, round(cores - others.cores())))
    if free == before:
        yield
        return
    torch.set_num_threads(free)
    try:
        yield
    finally:
        torch.set_num_threads(before)
