"""Progress bars."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def training_progress() -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar for training, told of each step by calling (step, num_steps, doing)."""
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=None)

        def show(step: int, num_steps: int, doing: str) -> None:
            bar.update(task, completed=step, total=num_steps, description=doing)

        yield show


@contextmanager
def working(doing: str) -> Iterator[None]:
    """Show that something is being done whose length is not known."""
    with Console(stderr=True).status(doing):
        yield
