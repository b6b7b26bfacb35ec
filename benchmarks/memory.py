"""Peak resident memory of one competitor, in a process of its own."""

import multiprocessing
import resource
import sys
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection

import torch

_CONTEXT = multiprocessing.get_context("forkserver")
# What is imported before the fork is part of every peak, the same for all.
_CONTEXT.set_forkserver_preload(["benchmarks.peers"])


def measured(function: Callable, *arguments: object, timeout: float = 3600) -> dict:
    """Call it in a new process: ``{"peak_bytes": …, "returned": …}``, or ``{"error": …}``."""
    ours, theirs = _CONTEXT.Pipe()
    threads = torch.get_num_threads()
    process = _CONTEXT.Process(target=_run, args=(theirs, threads, function, arguments))
    process.start()
    theirs.close()
    try:
        answered = ours.poll(timeout)
        return ours.recv() if answered else {"error": f"no result within {timeout:.0f} s"}
    except EOFError:
        process.join()
        return {"error": f"the process ended with status {process.exitcode}"}
    finally:
        process.kill()
        process.join()


def _run(pipe: Connection, threads: int, function: Callable, arguments: tuple) -> None:
    torch.set_num_threads(threads)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            returned = function(*arguments)
    except Exception as error:
        pipe.send({"error": f"{type(error).__name__}: {error}"[:300]})
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        pipe.send({"peak_bytes": peak, "returned": returned})
