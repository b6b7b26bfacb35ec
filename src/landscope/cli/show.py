"""`landscope show`: a run's numbers in the terminal."""

from landscope.cli.options import RunFolder
from landscope.cli.results import print_run
from landscope.runs import Run


def show(run: RunFolder) -> None:
    """Print what a run has measured so far, one row for each measured step.

    Of a run of `landscope model` its numbers are printed, of `landscope reproduce` its claims.

    Example:  [bold]landscope show runs/demo[/bold]
    """
    print_run(Run.open(run))
