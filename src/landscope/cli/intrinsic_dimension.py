"""`landscope intrinsic-dimension`: in how many random dimensions one's own problem is solved."""

from pathlib import Path
from typing import Annotated

import typer

from landscope.cli.options import DataRoot, Out, Seed, TargetDevice, TargetName, Trust
from landscope.cli.progress import progress_bar
from landscope.cli.ranges import numbers
from landscope.cli.results import print_intrinsic_dimension, write_report_of
from landscope.experiments import intrinsic_dimension_of, resolve_target
from landscope.hyperplanes import BasisKind
from landscope.training import AdamDescent


def intrinsic_dimension(
    target: TargetName,
    out: Out = Path("runs/intrinsic-dimension"),
    dims: Annotated[
        str | None,
        typer.Option(
            help="Dimensions to train in; 8, 16, 32, … as far as needed if absent.",
            metavar="VALUES",
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option("--threshold", help="Share of full training's accuracy to reach.")
    ] = 0.9,
    num_seeds: Annotated[
        int, typer.Option("--num-seeds", help="Hyperplanes for each dimension.")
    ] = 3,
    kind: Annotated[
        BasisKind, typer.Option("--kind", help="How bases are drawn and applied.")
    ] = BasisKind.FASTFOOD,
    steps: Annotated[int, typer.Option("--steps", help="Updates of each training.")] = 600,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Examples in a mini-batch.")] = 64,
    seed: Seed = 0,
    device: TargetDevice = None,
    data_root: DataRoot = None,
    trust: Trust = False,
) -> None:
    """Train in random hyperplanes of growing dimension, and find where they are enough.

    VALUES are a number, a list 10,30,100 or a range START:STOP:COUNT, with :log for even ratios.
    TARGET is that of landscope measure; a file's networks are scored on its test data. A command
    that was stopped goes on when it is given again.

    Example:  [bold]landscope intrinsic-dimension point.yaml --dims 10:1000:7:log[/bold]
    """
    resolved = resolve_target(target, seed=seed, device=device, data_root=data_root, trust=trust)
    wanted = None if dims is None else [int(dim) for dim in numbers("dims", dims, whole=True)]
    with progress_bar("trainings") as progress:
        run = intrinsic_dimension_of(
            resolved,
            out,
            dims=wanted,
            threshold=threshold,
            num_seeds=num_seeds,
            kind=kind,
            descent=AdamDescent(steps=steps, batch_size=batch_size),
            seed=seed,
            progress=progress,
        )
    print_intrinsic_dimension(run)
    write_report_of(run)
