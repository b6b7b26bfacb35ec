"""`landscope report`: the report and the figures of a run."""

from landscope.cli.options import ReportFolder, RunFolder
from landscope.cli.results import write_report_of
from landscope.runs import Run


def report(run: RunFolder, out: ReportFolder = None) -> None:
    """Write the report and the figures of a run, replacing older ones.

    Works on a run that is still going on, with what it has measured so far.

    Example:  [bold]landscope report runs/demo[/bold]
    """
    write_report_of(Run.open(run), out)
