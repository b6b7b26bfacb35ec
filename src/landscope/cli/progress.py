"""Progress bars."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from landscope.distributed import leads


@contextmanager
def progress_bar(unit: str = "steps") -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar, told of each step by calling (done, total, doing)."""
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, quiet=not leads())) as bar:
        task = bar.add_task("starting", total=None)

        def show(done: int, total: int, doing: str) -> None:
            bar.update(task, completed=done, total=total, description=doing)

        try:
            yield show
        except BaseException as stop:
            shown = bar.tasks[0]
            if shown.total is None:  # nothing was begun: the error alone is shown
                bar.update(task, visible=False)
            elif isinstance(stop, KeyboardInterrupt):
                stop.add_note(f"at {shown.completed:g} of {shown.total:g} {unit}")
            raise


@contextmanager
def working(doing: str) -> Iterator[None]:
    """Show that something is being done whose length is not known."""
    with Console(stderr=True, quiet=not leads()).status(doing):
        yield
