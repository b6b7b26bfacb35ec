"""Cells side by side: one process each, kept by their configuration."""

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from landscope.experiments.networks.cell import Cell, Trained, follow
from landscope.experiments.one_thread import one_thread
from landscope.experiments.progress import Progress, silent
from landscope.runs import Run


@dataclass(frozen=True)
class Grid:
    """Where cells lie, and what computes them.

    A cell is a run folder named by its configuration: figures share those that they have in
    common, one that is complete is not computed again, and one that was killed goes on.
    Processes import the main module anew: a script that uses several of them needs the guard
    ``if __name__ == "__main__":``.

    Attributes
    ----------
    folder : Path
        Holds one folder for each cell.
    processes : int, optional
        Cells computed at the same time, each on one thread; by default the cores that this
        process may use, and one on a GPU. With one, cells are computed in this process.
    device : str
        Where to compute.
    data_root : Path, optional
        Folder of the data files.
    """

    folder: Path
    processes: int | None = None
    device: str = "cpu"
    data_root: Path | None = None

    def __post_init__(self) -> None:
        if self.processes is not None and self.processes < 1:
            raise ValueError(f"processes is {self.processes}; it must be at least 1")

    def trained(self, cells: Sequence[Cell], progress: Progress = silent) -> list[Trained]:
        """Train and measure those cells that are not complete yet.

        Parameters
        ----------
        cells : sequence of Cell
            All of one grid.
        progress : callable
            Called as progress(done, total, doing) whenever a cell is done.

        Returns
        -------
        list of Trained
            In the order of `cells`. Training that diverged says so, and keeps what it measured.

        Raises
        ------
        Exception
            The first that a cell raised, once all others are done.
        """
        found = {cell: Trained(cell, Run(self.folder / cell.name)) for cell in cells}
        missing = [cell for cell, trained in found.items() if not trained.is_complete]
        failed: list[Exception] = []
        progress(len(found) - len(missing), len(found), "training")
        for place, (cell, future) in enumerate(self._results(missing), len(found) - len(missing)):
            try:
                found[cell] = replace(future.result(), cell=cell)
            except Exception as failure:
                failure.add_note(f"in the cell {self.folder / cell.name}")
                failed.append(failure)
            progress(place + 1, len(found), "training")
        if failed:
            raise failed[0]
        return [found[cell] for cell in cells]

    def _results(self, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Future[Trained]]]:
        here = {"device": self.device, "data_root": self.data_root}
        placed = {
            cell: replace(cell, training=cell.training.model_copy(update=here)) for cell in cells
        }
        processes = min(self.processes or _free_processes(self.device), max(len(cells), 1))
        if processes == 1:
            for cell, moved in placed.items():
                with one_thread():
                    yield cell, _outcome(moved, self.folder)
            return
        with _workers(processes) as pool:
            futures = {
                pool.submit(follow, moved, self.folder): cell for cell, moved in placed.items()
            }
            for future in as_completed(futures):
                yield futures[future], future


def _outcome(cell: Cell, folder: Path) -> Future[Trained]:
    future: Future[Trained] = Future()
    try:
        future.set_result(follow(cell, folder))
    except Exception as failure:
        future.set_exception(failure)
    return future


def _free_processes(device: str) -> int:
    return 1 if device != "cpu" else len(os.sched_getaffinity(0))


@contextmanager
def _workers(count: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with this one, however it ends."""
    pool = ProcessPoolExecutor(
        count, multiprocessing.get_context("spawn"), initializer=_begin_worker
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker() -> None:
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave no worker behind a killed parent: a run folder has one writer at a time."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
