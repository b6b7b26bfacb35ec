"""`landscope measure`: the local geometry at one point."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from landscope.cli.config_options import mirrors
from landscope.cli.options import DataRoot, Out, Seed, TargetDevice, TargetName
from landscope.cli.progress import working
from landscope.cli.results import print_snapshot, write_report_of
from landscope.experiments import measure_point, resolve_target
from landscope.training import MeasureConfig


@mirrors(MeasureConfig, optional=True)
def measure(
    target: TargetName,
    out: Out = Path("runs/measure"),
    seed: Seed = 0,
    device: TargetDevice = None,
    data_root: DataRoot = None,
    **choices: Any,
) -> None:
    """Measure everything at one point of weight space.

    A file may say, for example:

    network: {name: small_cnn, nonlinearity: tanh}

    data: {name: digits, max_examples: 300}

    weights: runs/demo/checkpoints/00000250.safetensors

    Example:  [bold]landscope measure point.yaml --out runs/point[/bold]
    """
    resolved = resolve_target(target, seed=seed, device=device, data_root=data_root)
    chosen = {name: value for name, value in choices.items() if value is not None}
    options = MeasureConfig(**{**resolved.measure.model_dump(), **chosen})
    with working(f"measuring {resolved.problem}"):
        run = measure_point(replace(resolved, measure=options), out, seed=seed)
    print_snapshot(run)
    write_report_of(run)
