"""`landscope demo`: the whole instrument in three minutes."""

from pathlib import Path

from landscope.cli.options import Device, Out, Seed
from landscope.cli.progress import progress_bar
from landscope.cli.results import print_properties, print_trajectory, write_report_of
from landscope.experiments import demo as run_demo


def demo(out: Out = Path("runs/demo"), seed: Seed = 0, device: Device = "cpu") -> None:
    """Train a small CNN on handwritten digits and measure its landscape at seven stages.

    Prints the four properties of Fort & Ganguli 2019 as found, and writes a report. Nothing is
    downloaded; two cores need less than three minutes.

    Example:  [bold]landscope demo --out runs/demo[/bold]
    """
    with progress_bar() as progress:
        run = run_demo(out, seed=seed, device=device, progress=progress)
    print_trajectory(run)
    print_properties(run)
    write_report_of(run)
