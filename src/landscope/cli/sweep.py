"""`landscope sweep`: networks over a grid of choices, in one table."""

from pathlib import Path
from typing import Annotated

import typer

from landscope.cli.options import FOLDER, DataRoot, Device
from landscope.cli.progress import progress_bar
from landscope.cli.results import print_sweep, write_report_of
from landscope.experiments import (
    ENGINES,
    Grid,
    SweepConfig,
    choose_engine,
    read_config,
    said_of_failures,
)
from landscope.experiments import sweep as run_sweep


def sweep(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG",
            help="What to train and measure; landscope config init --for sweep writes one.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", help="Folder to write; the same command again goes on.", **FOLDER),
    ] = Path("runs/sweep"),
    cells: Annotated[
        Path | None,
        typer.Option(
            "--cells",
            help="Folder of the cells, which several sweeps may share; OUT/cells if absent.",
            **FOLDER,
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", help=f"What computes cells: {', '.join(ENGINES)}.")
    ] = ENGINES[0],
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            help="A Ray cluster that runs: auto, HOST:6379, ray://HOST:10001. "
            "Without it one is started here, and ends with the command.",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes", help="Cells at the same time on this machine; all cores if absent."
        ),
    ] = None,
    cpus: Annotated[int, typer.Option("--cpus", help="CPUs, and threads, of each cell.")] = 1,
    gpus: Annotated[
        float | None,
        typer.Option(
            "--gpus",
            help="GPUs of each cell on Ray, such as 0.5; by default 1 where the device is one.",
        ),
    ] = None,
    retries: Annotated[
        int, typer.Option("--retries", help="How often a cell that failed is tried again.")
    ] = 2,
    device: Device = "cpu",
    data_root: DataRoot = None,
) -> None:
    """Train and measure a network for each combination of choices: one table, one report.

    A choice of the file is one value, or a list of values to sweep over:

    network: [fully_connected, small_cnn]

    learning_rate: [0.01, 0.05]

    seed: [0, 1, 2]

    A cell that is complete is never computed again, one that was killed goes on, and one that
    fails for good is named once all others are done.

    Example:  [bold]landscope sweep sweep.yaml --engine ray --out runs/sweep[/bold]
    """
    choices = read_config(config, SweepConfig)
    begin = choose_engine(
        engine,
        address=address,
        processes=processes,
        cpus=cpus,
        gpus=gpus,
        retries=retries,
        device=device,
    )
    grid = Grid(
        cells or out / "cells", device=device, data_root=data_root, engine=begin, threads=cpus
    )
    with progress_bar("cells") as progress:
        swept = run_sweep(choices, out, grid, progress=progress)
    print_sweep(swept.run)
    write_report_of(swept.run)
    if swept.failed:
        raise RuntimeError(said_of_failures(swept))
