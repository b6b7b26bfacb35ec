"""Hyperplanes of one's own problem: its Goldilocks zone and its intrinsic dimension."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xarray as xr

from landscope.experiments.progress import Progress, silent
from landscope.experiments.tables import write_tables
from landscope.experiments.target import Target
from landscope.hyperplanes import BasisKind
from landscope.runs import Run
from landscope.training import AdamDescent, goldilocks, intrinsic_dimension
from landscope.training.goldilocks import RADII

OURS = "this problem"


def zone_of(
    target: Target,
    out: str | Path,
    *,
    radii: Sequence[float] = RADII,
    dim: int | None = None,
    kind: BasisKind = BasisKind.DENSE,
    num_hyperplanes: int = 3,
    seed: int = 0,
    progress: Progress = silent,
) -> Run:
    """Measure a target's curvature in hyperplanes along the radius, into a run folder.

    Parameters
    ----------
    target : Target
        What to measure.
    out : path
        Run folder; the same call again goes on.
    dim : int, optional
        Of each hyperplane; 50, or all D where there are fewer, if absent.
    radii, kind, num_hyperplanes, seed, progress
        As of `landscope.goldilocks`.

    Returns
    -------
    Run
        Its snapshot is laid out as that of the experiment `goldilocks`, hyperplanes in the place of
        networks.
    """
    dim = min(50, target.problem.num_params) if dim is None else dim
    choices = {
        "radii": [float(radius) for radius in radii],
        "dim": dim,
        "kind": str(kind),
        "num_hyperplanes": num_hyperplanes,
    }

    def compute(folder: Path) -> xr.Dataset:
        found = goldilocks(
            target.problem,
            radii,
            dim,
            kind=kind,
            num_hyperplanes=num_hyperplanes,
            seed=seed,
            run=folder / "radii",
            progress=progress,
        )
        return _like_networks(found).assign_attrs(
            num_hyperplanes=num_hyperplanes,
            num_classes=target.problem.num_classes,
            repeated="hyperplanes",
        )

    return _kept("zone", target, out, choices, seed, compute)


def intrinsic_dimension_of(
    target: Target,
    out: str | Path,
    *,
    dims: Sequence[int] | None = None,
    threshold: float = 0.9,
    num_seeds: int = 3,
    kind: BasisKind = BasisKind.FASTFOOD,
    descent: AdamDescent | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Run:
    """Measure a target's intrinsic dimension into a run folder.

    Parameters
    ----------
    target : Target
        What to train; scored on its test problem where it has one.
    out : path
        Run folder; the same call again goes on.
    dims, threshold, num_seeds, kind, descent, seed, progress
        As of `landscope.intrinsic_dimension`.

    Returns
    -------
    Run
        Its snapshot is laid out as that of the experiment `hyperplane`.
    """
    descent = descent or AdamDescent()
    choices = {
        "dims": None if dims is None else list(dims),
        "threshold": threshold,
        "num_seeds": num_seeds,
        "kind": str(kind),
        "descent": asdict(descent),
        "test": target.test and target.test.identity(),
    }

    def compute(folder: Path) -> xr.Dataset:
        found = intrinsic_dimension(
            target.problem,
            dims,
            test=target.test,
            threshold=threshold,
            num_seeds=num_seeds,
            kind=kind,
            descent=descent,
            seed=seed,
            run=folder / "trainings",
            progress=progress,
        ).to_dataset()
        named = found.rename(score="accuracy", full_score="full_accuracy")
        return (
            named.assign(num_params=target.problem.num_params)
            .expand_dims(data=[OURS], network=[""])
            .assign_attrs(scored="test data" if target.test else "training data")
        )

    return _kept("intrinsic_dimension", target, out, choices, seed, compute)


def _like_networks(zone: xr.Dataset) -> xr.Dataset:
    """Single hyperplanes in the place of networks; what they share, beside each of them."""
    each = {
        str(name).removesuffix("_each"): values
        for name, values in zone.data_vars.items()
        if "hyperplane" in values.dims
    }
    shared = {
        str(name): values.expand_dims(hyperplane=zone.sizes["hyperplane"])
        for name, values in zone.data_vars.items()
        if name not in each and "hyperplane" not in values.dims and "stderr" not in str(name)
    }
    return (
        xr.Dataset(each | shared, attrs=zone.attrs)
        .rename(hyperplane="seed")
        .expand_dims(nonlinearity=[OURS])
    )


def _kept(
    experiment: str,
    target: Target,
    out: str | Path,
    choices: dict[str, Any],
    seed: int,
    compute: Callable[[Path], xr.Dataset],
) -> Run:
    """Compute where the run has no snapshot yet; write its tables and its summary."""
    config = {"experiment": experiment, "target": target.description, **choices, "seed": seed}
    run = Run.create(out, {**config, "problem": target.one_point().identity()})
    if not run.steps():
        run.write_snapshot(0, compute(run.path))
    dataset = run.snapshot(0)
    write_tables(dataset, run.path / "tables")
    scalars = {str(n): v.item() for n, v in dataset.data_vars.items() if v.size == 1}
    run.write_summary(
        {"scalars": scalars, "config": run.config, "versions": {"landscope": version("landscope")}}
    )
    run.close()
    return run
