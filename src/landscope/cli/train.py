"""`landscope train`: train a network of the zoo and measure it on the way."""

from pathlib import Path
from typing import Any

from landscope.cli.config_options import mirrors, parse
from landscope.cli.options import Out
from landscope.cli.progress import progress_bar
from landscope.cli.results import print_trajectory, write_report_of
from landscope.training import TrainConfig
from landscope.training import train as run_training


@mirrors(TrainConfig)
def train(out: Out = Path("runs/train"), **choices: Any) -> None:
    """Train a network and measure its landscape at log-spaced steps, from the first to the last.

    A run that was stopped goes on when the same command is given again.

    Example:  [bold]landscope train --data fashion_mnist --steps 600 --out runs/fashion[/bold]
    """
    config = parse(TrainConfig, choices)
    with progress_bar() as progress:
        run = run_training(config, out, progress)
    print_trajectory(run)
    write_report_of(run)
