"""`landscope goldilocks`: the curvature of one's own problem in hyperplanes, along the radius."""

from pathlib import Path
from typing import Annotated

import typer

from landscope.cli.options import DataRoot, Out, Seed, TargetDevice, TargetName, Trust
from landscope.cli.progress import progress_bar
from landscope.cli.ranges import numbers
from landscope.cli.results import print_zone, write_report_of
from landscope.experiments import resolve_target, zone_of
from landscope.hyperplanes import BasisKind


def goldilocks(
    target: TargetName,
    out: Out = Path("runs/goldilocks"),
    radii: Annotated[
        str,
        typer.Option(help="Weight radii in units of the weights.", metavar="VALUES"),
    ] = "0.03:30:13:log",
    dim: Annotated[
        int | None,
        typer.Option("--dim", help="Dimension of each hyperplane; 50, or all if fewer, if absent."),
    ] = None,
    num_hyperplanes: Annotated[
        int, typer.Option("--num-hyperplanes", help="Hyperplanes that means are taken over.")
    ] = 3,
    kind: Annotated[
        BasisKind, typer.Option("--kind", help="How bases are drawn and applied.")
    ] = BasisKind.DENSE,
    seed: Seed = 0,
    device: TargetDevice = None,
    data_root: DataRoot = None,
    trust: Trust = False,
) -> None:
    """Measure Tr/‖·‖ and the share of positive eigenvalues of the Hessian in random hyperplanes.

    VALUES are a number, a list 1,2,5 or a range START:STOP:COUNT, with :log for even ratios. TARGET
    is that of landscope measure. A command that was stopped goes on when it is given again.

    Example:  [bold]landscope goldilocks point.yaml --radii 0.1:10:9:log[/bold]
    """
    resolved = resolve_target(target, seed=seed, device=device, data_root=data_root, trust=trust)
    with progress_bar("radii") as progress:
        run = zone_of(
            resolved,
            out,
            radii=numbers("radii", radii),
            dim=dim,
            kind=kind,
            num_hyperplanes=num_hyperplanes,
            seed=seed,
            progress=progress,
        )
    print_zone(run)
    write_report_of(run)
