"""`landscope measure`: the local geometry at one point, or at each checkpoint of a folder."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from landscope.cli.config_options import mirrors
from landscope.cli.options import DataRoot, Out, Seed, TargetDevice, TargetName, Trust
from landscope.cli.progress import progress_bar, working
from landscope.cli.results import print_snapshot, print_trajectory, write_report_of
from landscope.distributed import launched_group
from landscope.experiments import measure_checkpoints, measure_point, resolve_target
from landscope.training import MeasureConfig


@mirrors(MeasureConfig, optional=True)
def measure(
    target: TargetName,
    out: Out = Path("runs/measure"),
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            "--checkpoints",
            metavar="FOLDER",
            help="Measure at each checkpoint of this folder: .safetensors, .pt, .pth, .bin, .ckpt.",
        ),
    ] = None,
    trust: Trust = False,
    seed: Seed = 0,
    device: TargetDevice = None,
    data_root: DataRoot = None,
    **choices: Any,
) -> None:
    """Measure everything at one point of weight space, or at each checkpoint of a folder.

    A file may say, for example:

    network: {name: small_cnn, nonlinearity: tanh}

    data: {name: digits, max_examples: 300}

    weights: runs/demo/checkpoints/00000250.safetensors

    Of checkpoints the step is the number in their name. The same command again measures those
    that are new.

    Under torchrun all processes measure together, each on its part of the data.

    Example:  [bold]landscope measure point.yaml --checkpoints FOLDER --out runs/point[/bold]
    """
    chosen = {name: value for name, value in choices.items() if value is not None}
    with launched_group(device) as (group, device):
        resolved = resolve_target(
            target, seed=seed, device=device, data_root=data_root, trust=trust, group=group
        )
        options = MeasureConfig(**{**resolved.measure.model_dump(), **chosen})
        resolved = replace(resolved, measure=options)
        folder = checkpoints or resolved.checkpoints
        if folder:
            with progress_bar("checkpoints") as progress:
                run = measure_checkpoints(
                    resolved, folder, out, seed=seed, trust=trust, progress=progress
                )
        else:
            with working(f"measuring {resolved.problem}"):
                run = measure_point(resolved, out, seed=seed)
    if run:  # rank 0 keeps it
        (print_trajectory if folder else print_snapshot)(run)
        write_report_of(run)
