"""What a command leaves behind: report and figures in the run folder, tables in the terminal."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr
from rich.console import Console
from rich.text import Text

from landscope.cli.progress import working
from landscope.cli.tables import (
    claims_table,
    intrinsic_dimension_table,
    model_table,
    properties_table,
    snapshot_table,
    sweep_table,
    trajectory_tables,
    zone_table,
)
from landscope.experiments import four_properties
from landscope.runs import Run
from landscope.system.folder import make_writable
from landscope.training.intrinsic_dimension import said_crossing


def write_report_of(run: Run, out: Path | None = None) -> None:
    """Write the report and the figures of a run, there or in `out`, and say where it lies."""
    # plotly and matplotlib are slow to import, and no other command needs them.
    from landscope.figures import write_experiment_report, write_report, write_sweep_report

    folder = make_writable(out or run.path, "folder of the report")
    path, config = folder / "report.html", run.config
    with working("drawing the report"):
        if config.get("experiment") == "network_sweep":
            report = write_sweep_report(run.table(), path, run.summary() or {}, config)
        elif "experiment" in config:
            summary = run.summary() or {}
            report = write_experiment_report(
                _only_snapshot(run),
                path,
                config["experiment"],
                claims=summary.get("claims", ()),
                numbers=summary.get("numbers", ()),
                config=config,
            )
        else:
            report = write_report(run.trajectory(), path, config=config)
    Console(soft_wrap=True).print(Text(f"Report: {report}", style="bold"))


def write_overview_of(runs: Mapping[str, Path], out: Path) -> None:
    """Write the page of all claims of several reproductions, and say where it lies."""
    from landscope.figures import write_overview

    claims = {name: _told(Run.open(folder), "claims") for name, folder in runs.items()}
    page = write_overview(claims, out / "report.html")
    Console(soft_wrap=True).print(Text(f"All claims: {page}", style="bold"))


def print_run(run: Run) -> None:
    """Print the claims or the numbers of the random model, or else each measured step."""
    summary = run.summary() or {}
    experiment = run.config.get("experiment")
    if experiment in _OF_THEIR_OWN:
        _OF_THEIR_OWN[experiment](run)
    elif "claims" in summary:
        print_claims(run)
    elif "numbers" in summary:
        print_model(run)
    else:
        print_trajectory(run)


def print_trajectory(run: Run) -> None:
    """Print one row for each measured step."""
    Console().print(*trajectory_tables(run.trajectory()), sep="\n")


def print_snapshot(run: Run) -> None:
    """Print the scalars of the last measured step."""
    Console().print(snapshot_table(run.snapshot(run.steps()[-1]), str(run.path)))


def print_properties(run: Run) -> None:
    """Print the four properties of the paper as this run has them."""
    Console().print(properties_table(four_properties(run.trajectory())))


def print_claims(run: Run) -> None:
    """Print each claim, whether it holds, and the numbers."""
    Console().print(claims_table(_told(run, "claims")))


def print_model(run: Run) -> None:
    """Print what was drawn beside what was predicted."""
    Console().print(model_table(_told(run, "numbers"), run.config.get("swept")))


def print_sweep(run: Run) -> None:
    """Print what networks trained alike ended with."""
    Console().print(sweep_table(_told(run, "ends")))


def print_zone(run: Run) -> None:
    """Print what was seen in hyperplanes at each radius."""
    zone = _only_snapshot(run)
    Console().print(
        f"H in random hyperplanes of {zone.attrs['dim']:,} dimensions:", zone_table(zone)
    )


def print_intrinsic_dimension(run: Run) -> None:
    """Print what was reached in each dimension, and where the threshold is crossed."""
    found = _only_snapshot(run)
    at, low, high = (found[f"dimension{end}"].item() for end in ("", "_low", "_high"))
    reached = said_crossing(at, low, high)
    share = f"{found.attrs['threshold']:.0%} of full training"
    Console().print(f"Intrinsic dimension, {share}: {reached}", intrinsic_dimension_table(found))


def _only_snapshot(run: Run) -> xr.Dataset:
    """What an experiment found; its command may have been stopped before."""
    if not run.steps():
        raise ValueError(
            f"the run {run.path} has no snapshot yet; the command that began it goes on"
        )
    return run.snapshot(0)


def _told(run: Run, what: str) -> Any:
    """What `summary.json` says, the last that a command writes."""
    summary = run.summary() or {}
    if what not in summary:
        raise ValueError(
            f"the run {run.path} is not complete: its summary.json has no {what}; the command that "
            "began it goes on"
        )
    return summary[what]


_OF_THEIR_OWN = {
    "network_sweep": print_sweep,
    "zone": print_zone,
    "intrinsic_dimension": print_intrinsic_dimension,
}
