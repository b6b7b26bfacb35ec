"""The report of a sweep: what networks ended with, and what they measured on the way."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from landscope.figures.gallery import Picture, write_pictures
from landscope.figures.networks import across_choices
from landscope.figures.networks.across_choices import choice_title
from landscope.figures.summary import LABELS, plus_minus
from landscope.figures.web_page import leaves, sections, write_page

PICTURES: Sequence[Picture] = (across_choices,)

_COLUMNS = (
    "loss",
    "test_accuracy",
    "lambda_max",
    "hessian_num_outliers",
    "hessian_top_gradient_power",
    "q_slsc",
    "q_sl",
    "q_dl",
    "sigma_z",
    "entropy",
    "hessian_trace_over_norm",
    "logit_curvature_ratio",
)


def write_sweep_report(
    table: xr.Dataset,
    path: str | Path,
    summary: Mapping[str, Any],
    config: Mapping[str, Any],
) -> Path:
    """Write the report, and beside it the folder `figures` with the picture as PNG and SVG.

    Parameters
    ----------
    table
        Of `landscope.experiments.sweep`.
    path
        The HTML file; replaced where it exists.
    summary
        What the sweep's `summary.json` holds: `ends`, `outcomes`, `failed` and `left_out`.
    config
        The configuration of the sweep, shown in full.

    Returns
    -------
    pathlib.Path
        The HTML file.
    """
    path = Path(path)
    write_pictures(PICTURES, table, path.parent / "figures")
    ends, outcomes = summary["ends"], summary["outcomes"]
    choices = list(ends[0]["choices"])
    measured = {name for end in ends for name in end["numbers"]}
    columns = [name for name in _COLUMNS if name in measured]
    over = ", ".join(map(choice_title, choices)) or "seeds"
    return write_page(
        path,
        "sweep.html.jinja",
        title=f"Sweep over {over}",
        facts={
            "cells": sum(outcomes.values()),
            **outcomes,
            "seeds": table.sizes["seed"],
        },
        settings=dict(leaves(config)),
        heads=[*map(choice_title, choices), "cells", *(LABELS[name] for name in columns)],
        rows=[_row(end, columns) for end in ends],
        failed=summary["failed"],
        left_out=summary["left_out"],
        chapters=[("", "", sections(table, PICTURES))],
    )


def _row(end: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    numbers = (end["numbers"].get(name) or (None, None) for name in columns)
    return [
        *map(str, end["choices"].values()),
        ", ".join(f"{count} {outcome}" for outcome, count in sorted(end["outcomes"].items())),
        *(plus_minus(*(float("nan") if x is None else x for x in number)) for number in numbers),
    ]
