"""`landscope reproduce`: figures of the paper, made anew."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from landscope.cli.options import FOLDER, DataRoot, Device, Seed
from landscope.cli.progress import progress_bar
from landscope.cli.results import print_claims, write_overview_of, write_report_of
from landscope.experiments import REPRODUCTIONS, SCALES, Grid, Networks
from landscope.experiments import reproduce as run_reproduction
from landscope.experiments.progress import Progress

ALL = "all"
_KNOWN = ", ".join([*REPRODUCTIONS, ALL])


def reproduce(
    figure: Annotated[str, typer.Argument(metavar="FIGURE", help=f"One of {_KNOWN}.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Run folder to write; runs/FIGURE if absent.", **FOLDER),
    ] = None,
    seed: Seed = 0,
    scale: Annotated[
        str,
        typer.Option("--scale", help=f"Size of what is trained and drawn: {', '.join(SCALES)}."),
    ] = "quick",
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            help="Data sets instead of those of the scale (fig1).",
            metavar="mnist,digits,…",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option("--processes", help="Networks trained at the same time; all cores if absent."),
    ] = None,
    device: Device = "cpu",
    data_root: DataRoot = None,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run", help="Run folder of a trained network (fig7); without it one is trained."
        ),
    ] = None,
) -> None:
    """Make a figure of the paper anew, or all, and hold its claims against the numbers.

    Writes the figures, their tables as CSV, a report, and for each claim whether it holds. A
    command that was stopped goes on when it is given again.

    Example:  [bold]landscope reproduce fig5 --out runs/fig5[/bold]
    """
    if figure not in (*REPRODUCTIONS, ALL):
        raise ValueError(f"FIGURE is {figure!r}; accepted are {_KNOWN}")
    if figure == ALL and (data or run):
        raise ValueError("--data and --run are for single figures; all takes each figure's own")
    out = out or Path("runs") / figure
    grid = Grid(out / "cells", processes, device, data_root)
    networks = Networks(scale, tuple(data.split(",")) if data else (), grid)
    folders = {name: out / name for name in REPRODUCTIONS} if figure == ALL else {figure: out}
    for name, folder in folders.items():
        with progress_bar("parts") as progress:
            made = run_reproduction(
                name,
                REPRODUCTIONS[name],
                folder,
                seed=seed,
                network=run,
                networks=networks,
                progress=partial(_named, progress, name),
            )
        print_claims(made)
        write_report_of(made)
    if figure == ALL:
        write_overview_of(folders, out)


def _named(progress: Progress, name: str, done: int, total: int, doing: str) -> None:
    progress(done, total, f"{name}: {doing}")
