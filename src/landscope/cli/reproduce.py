"""`landscope reproduce`: figures of the paper, made anew."""

from pathlib import Path
from typing import Annotated

import typer

from landscope.cli.options import Seed
from landscope.cli.progress import progress_bar
from landscope.cli.results import print_claims, write_report_of
from landscope.experiments import REPRODUCTIONS
from landscope.experiments import reproduce as run_reproduction

_KNOWN = ", ".join(REPRODUCTIONS)


def reproduce(
    figure: Annotated[str, typer.Argument(metavar="FIGURE", help=f"One of {_KNOWN}.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Run folder to write; runs/FIGURE if absent.")
    ] = None,
    seed: Seed = 0,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run", help="Run folder of a trained network (fig7); without it one is trained."
        ),
    ] = None,
) -> None:
    """Make a figure of the paper anew, and hold its claims against the numbers.

    Writes the figure, its tables as CSV, a report, and for each claim whether it holds.

    Example:  [bold]landscope reproduce fig5 --out runs/fig5[/bold]
    """
    if figure not in REPRODUCTIONS:
        raise ValueError(f"FIGURE is {figure!r}; accepted are {_KNOWN}")
    with progress_bar("parts") as progress:
        made = run_reproduction(
            figure,
            REPRODUCTIONS[figure],
            out or Path("runs") / figure,
            seed=seed,
            network=run,
            progress=progress,
        )
    print_claims(made)
    write_report_of(made)
