"""Tasks side by side, each in a process of its own."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from typing import Any, TypeVar

from landscope.arguments import whole
from landscope.system.cpus import available_cpus

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
        self._threads = ThreadPoolExecutor(count, initializer=_block_interruptions)
        self._of_thread = threading.local()
        self._begun: list[ProcessPoolExecutor] = []
        self._context = multiprocessing.get_context("spawn")
        self._stopped = self._context.Event()

    def submit(
        self, function: Callable[..., Result], /, *args: Any, **kwargs: Any
    ) -> Future[Result]:
        """Compute function(*args, **kwargs) in a process."""
        return self._threads.submit(self._attempted, function, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes, once what they compute is done.

        With ``wait=False, cancel_futures=True`` they end now, in the middle of what they compute.
        """
        if cancel_futures and not wait:
            self._stopped.set()
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
                if not left or self._stopped.is_set():
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _process(self) -> ProcessPoolExecutor:
        """The process of this thread: a pool of one."""
        if not hasattr(self._of_thread, "process"):
            self._of_thread.process = ProcessPoolExecutor(
                1, self._context, initializer=_end_with_parent, initargs=(self._stopped,)
            )
            self._begun.append(self._of_thread.process)
        return self._of_thread.process


def free_processes(device: str, cpus: int = 1) -> int:
    """Count the tasks of so many CPUs that fit beside each other here; one on a GPU."""
    return 1 if device != "cpu" else max(1, available_cpus() // cpus)


def _block_interruptions() -> None:
    """Keep Ctrl-C from this thread, and from what it begins while that still imports (POSIX)."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _end_with_parent(stopped: Event) -> None:
    """Leave no process behind a parent that was killed, or stopped: a run has one writer at a time.

    Ctrl-C in a terminal reaches all processes: what it ends is for the parent to decide.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    for wait in (stopped.wait, parent and parent.join):
        if wait is not None:
            threading.Thread(target=_end_after, args=(wait,), daemon=True).start()


def _end_after(wait: Callable[[], Any]) -> None:
    wait()
    os._exit(1)
