"""A sweep: networks over a grid of choices, in one table."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from landscope.experiments.networks.cell import Cell, Trained
from landscope.experiments.networks.gathered import gathered
from landscope.experiments.networks.grid import Grid
from landscope.experiments.networks.measurements import Parts
from landscope.experiments.progress import Progress, silent
from landscope.experiments.sweep_config import SEED, SweepConfig
from landscope.runs import Run, concatenate
from landscope.system.atomic import appearing
from landscope.training.measured_by import measured_by

_MOST_TOLD = 3

_LARGEST = {
    "lambda_max": "hessian_eigenvalues",
    "gauss_newton_lambda_max": "gauss_newton_eigenvalues",
}


@dataclass(frozen=True)
class Swept:
    """What became of a sweep.

    Attributes
    ----------
    run : Run
        Its folder: `table.csv`, `table.nc`, `summary.json`.
    table : xarray.Dataset
        Every number that is no array, along what is swept and the `stage` of training; beside
        them the `training_step` of each stage, and the `outcome` of each cell: complete, diverged
        or failed.
    failed : dict of str to str
        By the name of each cell that failed, its cause.
    """

    run: Run
    table: xr.Dataset
    failed: dict[str, str]


def sweep(
    config: SweepConfig,
    out: str | Path,
    grid: Grid | None = None,
    *,
    measure: Callable[..., xr.Dataset] | None = None,
    progress: Progress = silent,
) -> Swept:
    """Train and measure every network of a grid of choices, and gather them in one table.

    Parameters
    ----------
    config : SweepConfig
        The choices.
    out : path
        Folder of the sweep. The same call again computes what is missing and nothing else.
    grid : Grid, optional
        Where cells lie and what computes them; in the folder `cells` of `out` if absent.
    measure : callable, optional
        A function of a module, (problem, seed) → Dataset, in place of the parts that `config`
        names.
    progress : callable
        Called as progress(done, total, doing) whenever a cell is done.

    Returns
    -------
    Swept
        A cell that failed is named there; all others are complete.

    Raises
    ------
    ValueError
        If `out` holds another sweep.

    Examples
    --------
    >>> import tempfile
    >>> config = SweepConfig(
    ...     width=0.25, steps=2, num_measurements=2, measure_examples=10, train_examples=64,
    ...     test_examples=10, learning_rate=[0.01, 0.1], parts=["probabilities"],
    ... )
    >>> folder = Path(tempfile.mkdtemp())
    >>> table = sweep(config, folder, Grid(folder / "cells", processes=1)).table
    >>> table.loss.dims, table.sizes["learning_rate"]
    (('learning_rate', 'seed', 'stage'), 2)
    """
    identity = {"experiment": "network_sweep", **config.model_dump(mode="json")}
    run = Run.create(out, identity | ({"measure": measured_by(measure)} if measure else {}))
    cells = {
        place: Cell(training, measure or Parts(config.parts, training.measure))
        for place, training in config.trainings().items()
    }
    found, failures = (grid or Grid(run.path / "cells")).computed(list(cells.values()), progress)
    failed = {cell.name: _cause(failure) for cell, failure in failures.items()}
    numbers: dict[tuple[Any, ...], xr.Dataset] = {}
    left_out: dict[str, dict[str, str]] = {}
    for place, cell in cells.items():
        trained = found[cell]
        # Read once: a snapshot may be large, and NetCDF files are slow to open.
        snapshots = [trained.run.snapshot(step) for step in trained.run.steps()]
        numbers[place] = _numbers(trained, snapshots, cell in failures)
        left_out[cell.name] = _left_out(snapshots)
    measured = (str(name) for one in numbers.values() for name in one.data_vars)
    names = dict.fromkeys(["training_step", "outcome", *measured])
    table = gathered(numbers, config.swept, list(names)).transpose(*config.swept, ...)
    # How single cells are stored does not suit a table with gaps.
    table = table.drop_encoding().assign_attrs(
        swept=",".join(config.swept), **_said_of(config.kept)
    )
    run.write_table(table)
    _write_csv(table, run.path / "table.csv")
    run.write_summary(
        {
            "ends": list(_ends(table)),
            "outcomes": Counter(table["outcome"].values.ravel().tolist()),
            "failed": failed,
            "left_out": {name: said for name, said in left_out.items() if said},
        }
    )
    run.close()
    return Swept(run, table, failed)


def said_of_failures(swept: Swept) -> str:
    """Say in one sentence which cells failed, and why."""
    told = [f"{name} ({cause})" for name, cause in swept.failed.items()]
    shown = "; ".join(told[:_MOST_TOLD]) + ("; …" if len(told) > _MOST_TOLD else "")
    return (
        f"{len(told)} of {swept.table['outcome'].size} cells failed: {shown}; all others are "
        f"kept, {swept.run.path / 'summary.json'} has every cause, and the same command tries "
        "again those that failed"
    )


def _numbers(trained: Trained, snapshots: Sequence[xr.Dataset], failed: bool) -> xr.Dataset:
    """Every number that is no array at each stage, as far as the cell came, and its outcome."""
    outcome = "failed" if failed else "diverged" if trained.diverged else "complete"
    if not snapshots:
        return xr.Dataset({"outcome": outcome})
    along = trained.along_training(concatenate(snapshots))
    largest = {
        name: along[array].isel(rank=0) for name, array in _LARGEST.items() if array in along
    }
    along = along.assign(largest)
    numbers = along[
        [
            name
            for name, variable in along.data_vars.items()
            if variable.dims == ("training_step",) and np.issubdtype(variable.dtype, np.number)
        ]
    ]
    if "learning_rate" in numbers:  # η after warm-up has the name of the choice
        numbers = numbers.rename(learning_rate="current_learning_rate")
    unlabelled = numbers.reset_index("training_step").reset_coords("training_step")
    staged = unlabelled.rename_dims(training_step="stage")
    return staged.assign(outcome=outcome).assign_coords(stage=range(staged.sizes["stage"]))


def _write_csv(table: xr.Dataset, path: Path) -> None:
    """Write a row for each cell and stage, replacing an older file."""
    measured = [name for name in table.data_vars if name not in ("training_step", "outcome")]
    rows = table.to_dataframe(dim_order=list(table.dims))
    if measured:
        rows = rows.dropna(subset=measured, how="all").astype({"training_step": int})
    with appearing(path) as beside:
        rows.to_csv(beside, lineterminator="\n")


def _ends(table: xr.Dataset) -> Iterator[dict[str, Any]]:
    """What networks trained alike ended with: means over seeds and their standard errors."""
    choices = [name for name in table.attrs["swept"].split(",") if name != SEED]
    numbers = table.drop_vars("outcome")
    if "stage" in table.dims:
        steps = table["training_step"]
        numbers = numbers.where(steps == steps.max("stage")).sum("stage", min_count=1)
    for place in product(*(table[name].values.tolist() for name in choices)):
        chosen = dict(zip(choices, place, strict=True))
        yield {
            "choices": chosen,
            "numbers": {
                str(name): (float(values.mean()), _standard_error(values.values))
                for name, values in numbers.sel(chosen).data_vars.items()
            },
            "outcomes": Counter(table["outcome"].sel(chosen).values.tolist()),
        }


def _standard_error(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.std(ddof=1) / len(known) ** 0.5) if len(known) > 1 else 0.0


def _said_of(kept: Mapping[str, Any]) -> dict[str, str]:
    """The choices that all cells share, as attributes can hold them."""
    return {name: str(value) for name, value in kept.items() if value is not None}


def _cause(failure: Exception) -> str:
    """What a failure says, in one line."""
    (line, *_) = str(failure).strip().splitlines() or [""]
    return f"{type(failure).__name__}: {line}" if line else type(failure).__name__


def _left_out(snapshots: Sequence[xr.Dataset]) -> dict[str, str]:
    """Parts that `landscope.measure` left out, by step, with the reasons."""
    return {
        str(int(snapshot["step"])): said
        for snapshot in snapshots
        if (said := snapshot.attrs.get("failures"))
    }
