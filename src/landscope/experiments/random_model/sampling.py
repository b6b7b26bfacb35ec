"""The random model at parameters of one's own: one point, or a sweep of one parameter."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from landscope.arguments import whole
from landscope.experiments.progress import Progress, silent
from landscope.experiments.random_model.draw import describe
from landscope.experiments.random_model.sweep import LONG_NAMES, sweep
from landscope.experiments.tables import write_tables
from landscope.random_model import RandomModel
from landscope.runs import Run

MOST_VALUES = 200

MOST_DRAWS = 1_000_000
"""Each takes a fraction of a second at least."""

_OVER_DRAWS = "draws_of_"


def sample_model(
    parameters: Mapping[str, Any],
    out: str | Path,
    *,
    swept: str | None = None,
    values: Sequence[int | float] = (),
    seed: int = 0,
    num_draws: int = 1,
    progress: Progress = silent,
) -> Run:
    """Draw from the random model into a run folder, and set the theory beside it.

    Parameters
    ----------
    parameters : mapping
        Of `landscope.RandomModel`; defaults for what is absent.
    out : path
        Run folder. Where it holds this very sample, nothing is drawn again.
    swept : str, optional
        A parameter that takes each of `values` in turn.
    values : sequence of numbers
        At least two.
    seed : int
        Of the first draw.
    num_draws : int
        Draws for means and errors of the scalars.
    progress : callable
        Called as progress(done, total, doing).

    Returns
    -------
    Run
        Its snapshot holds what `describe` returns at one point, what `sweep` returns along one.

    Raises
    ------
    ValueError
        For parameters that make no model, a sweep of too few or too many values, or no draw.
    """
    num_draws = whole("num_draws", num_draws, 1, MOST_DRAWS)
    if swept is not None and not 2 <= len(values) <= MOST_VALUES:
        raise ValueError(f"{swept} has {len(values)} values; a sweep takes 2 to {MOST_VALUES}")
    changes: list[dict[str, Any]] = [{swept: value} for value in values] if swept else [{}]
    models = [RandomModel(**{**parameters, **change}) for change in changes]
    config: dict[str, Any] = {
        "experiment": "sweep" if swept else "model",
        "model": {k: v for k, v in asdict(models[0]).items() if k != swept},
        "num_draws": num_draws,
        "seed": seed,
    }
    if swept:
        config |= {"swept": swept, "values": [float(value) for value in values]}
    run = Run.create(out, config)
    if not run.steps():
        scalars = sweep(models, seed, num_draws, progress)
        if swept:
            place = ("point", [float(value) for value in values], {"long_name": swept})
            dataset = scalars.assign_coords(value=place).assign_attrs(swept=swept)
        else:
            over_draws = scalars.isel(point=0).rename(
                {name: f"{_OVER_DRAWS}{name}" for name in scalars.data_vars}
            )
            dataset = describe(models[0], seed).assign(over_draws.data_vars)
        run.write_snapshot(0, dataset)
    dataset = run.snapshot(0)
    write_tables(dataset, run.path / "tables")
    run.write_summary(
        {
            "numbers": numbers(dataset),
            "config": run.config,
            "versions": {"landscope": version("landscope"), "numpy": version("numpy")},
        }
    )
    run.close()
    return run


def numbers(dataset: xr.Dataset) -> list[dict[str, Any]]:
    """Give each scalar as drawn and as predicted, with standard errors over the draws.

    Returns
    -------
    list of dict
        With `quantity`, `drawn`, `drawn_stderr`, `theory`, `theory_stderr`, and along a sweep the
        `value` of its parameter.
    """
    points = dataset["value"].values if "point" in dataset.dims else [None]
    prefix = "" if "point" in dataset.dims else _OVER_DRAWS
    rows = []
    for point, value in enumerate(points):
        one = dataset if value is None else dataset.isel(point=point)
        for name, long_name in LONG_NAMES.items():
            row: dict[str, Any] = {} if value is None else {"value": float(value)}
            row["quantity"] = long_name
            for kind, variable in (("drawn", prefix + name), ("theory", f"{prefix}{name}_theory")):
                row[kind], row[f"{kind}_stderr"] = _mean(one[variable].values)
            rows.append(row)
    return rows


def _mean(draws: np.ndarray) -> tuple[float, float]:
    stderr = draws.std(ddof=1) / len(draws) ** 0.5 if len(draws) > 1 else np.nan
    return float(draws.mean()), float(stderr)
