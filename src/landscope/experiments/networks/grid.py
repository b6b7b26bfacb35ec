"""Cells side by side, each on threads of its own, kept by their configuration."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from landscope.arguments import whole
from landscope.experiments.networks.cell import Cell, Trained, follow
from landscope.experiments.processes import MOST_PROCESSES, Processes, free_processes
from landscope.experiments.progress import Progress, silent
from landscope.experiments.threads import on_threads
from landscope.problem.checks import checked_device
from landscope.system.folder import make_writable

Engine = Callable[[], Executor]
"""Begins what computes tasks side by side, for one grid."""


@dataclass(frozen=True)
class Grid:
    """Where cells lie, and what computes them.

    A cell is a run folder named by its configuration: figures share those that they have in
    common, one that is complete is not computed again, and one that was killed goes on.

    Attributes
    ----------
    folder : Path
        Holds one folder for each cell.
    processes : int, optional
        Cells computed at the same time, each in a process of its own; by default the cores that
        this process may use, and one on a GPU. With one, cells are computed in this process.
    device : str
        Where to compute.
    data_root : Path, optional
        Folder of the data files.
    engine : callable, optional
        In place of `processes`: begins the executor that computes cells.
    threads : int
        Of each cell. Sums round otherwise with other numbers of threads, and with one they do not
        depend on the machine.
    """

    folder: Path
    processes: int | None = None
    device: str = "cpu"
    data_root: Path | None = None
    engine: Engine | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        if self.processes is not None:
            whole("processes", self.processes, 1, MOST_PROCESSES)
        if self.engine is None:  # other machines may have other devices
            checked_device(self.device)

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
        found, failed = self.computed(cells, progress)
        for failure in failed.values():
            raise failure
        return [found[cell] for cell in cells]

    def computed(
        self, cells: Sequence[Cell], progress: Progress = silent
    ) -> tuple[dict[Cell, Trained], dict[Cell, Exception]]:
        """Do the same, and give what became of each cell beside what those raised that failed.

        Parameters
        ----------
        cells, progress
            As of `trained`.

        Returns
        -------
        found : dict
            How far each cell came, those that failed included.
        failed : dict
            By cell what it raised.
        """
        make_writable(self.folder, "folder of cells")
        found = {cell: Trained.kept(cell, self.folder) for cell in cells}
        missing = [cell for cell, trained in found.items() if not trained.is_complete]
        failed: dict[Cell, Exception] = {}
        progress(len(found) - len(missing), len(found), "training")
        for place, (cell, future) in enumerate(self._results(missing), len(found) - len(missing)):
            try:
                found[cell] = replace(future.result(), cell=cell)
            except Exception as failure:
                failure.add_note(f"in the cell {self.folder / cell.name}")
                failed[cell] = failure
            progress(place + 1, len(found), "training")
        return found, failed

    def _results(self, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Future[Trained]]]:
        here = {"device": self.device, "data_root": self.data_root}
        tasks = {
            cell: (
                replace(cell, training=cell.training.model_copy(update=here)),
                self.folder.absolute(),
                self.threads,
            )
            for cell in cells
        }
        processes = min(self.processes or free_processes(self.device), max(len(cells), 1))
        if self.engine is None and processes == 1:
            for cell, task in tasks.items():
                yield cell, _outcome(*task)
            return
        if not cells:
            return
        executor = self.engine() if self.engine else Processes(processes)
        stopped = True  # by Ctrl-C, say: nobody waits for the cells in work, which go on later
        try:
            futures = {executor.submit(_compute, *task): cell for cell, task in tasks.items()}
            for future in as_completed(futures):
                yield futures[future], future
            stopped = False
        finally:
            executor.shutdown(wait=not stopped, cancel_futures=True)


def _compute(cell: Cell, folder: Path, threads: int) -> Trained:
    try:
        with on_threads(threads):
            return follow(cell, folder)
    except SystemExit as error:  # in code of the user's; it would end the process that waits
        raise RuntimeError(f"the code that was called used sys.exit({error.code!r})") from error


def _outcome(cell: Cell, folder: Path, threads: int) -> Future[Trained]:
    future: Future[Trained] = Future()
    try:
        future.set_result(_compute(cell, folder, threads))
    except Exception as failure:
        future.set_exception(failure)
    return future
