"""Tasks side by side, each in a process of its own."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from landscope.arguments import whole

MOST_PROCESSES = 10_000
"""More than any machine has."""

Result = TypeVar("Result")


class Processes(Executor):
    """An executor whose processes die alone, and whose tasks are tried again.

    Each of its threads hands its tasks to one process. One that dies (killed, out of memory) takes
    the task in it with it and no other, where a pool would fail all that wait for it as well.
    Processes import the main module anew: a script that uses them needs the guard
    ``if __name__ == "__main__":``. They end with this process, however it ends.

    Parameters
    ----------
    count : int
        Tasks computed at the same time.
    retries : int
        How often a task that raised, or whose process died, is tried again.

    Raises
    ------
    ValueError
        If `count` is below 1 or `retries` negative.
    """

    def __init__(self, count: int, retries: int = 0) -> None:
        count = whole("processes", count, 1, MOST_PROCESSES)
        retries = whole("retries", retries, 0, MOST_PROCESSES)
        self._retries = retries
        self._threads = ThreadPoolExecutor(count)
        self._of_thread = threading.local()
        self._begun: list[ProcessPoolExecutor] = []

    def submit(
        self, function: Callable[..., Result], /, *args: Any, **kwargs: Any
    ) -> Future[Result]:
        """Compute function(*args, **kwargs) in a process."""
        return self._threads.submit(self._attempted, function, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes, once what they compute is done."""
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        for pool in self._begun:
            pool.shutdown(wait, cancel_futures=cancel_futures)

    def _attempted(self, function: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
        for left in reversed(range(self._retries + 1)):
            try:
                return self._process().submit(function, *args, **kwargs).result()
            except Exception as failure:
                if isinstance(failure, BrokenProcessPool):
                    del self._of_thread.process
                if not left:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _process(self) -> ProcessPoolExecutor:
        """The process of this thread: a pool of one."""
        if not hasattr(self._of_thread, "process"):
            context = multiprocessing.get_context("spawn")
            self._of_thread.process = ProcessPoolExecutor(1, context, initializer=_end_with_parent)
            self._begun.append(self._of_thread.process)
        return self._of_thread.process


def free_processes(device: str, cpus: int = 1) -> int:
    """Count the tasks of so many CPUs that fit beside each other here; one on a GPU."""
    return 1 if device != "cpu" else max(1, len(os.sched_getaffinity(0)) // cpus)


def _end_with_parent() -> None:
    """Leave no process behind a killed parent: a run folder has one writer at a time."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
