"""Tables of measurements for the terminal."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from rich.table import Table

from landscope.cli.numbers import with_error, with_error_in_brackets
from landscope.experiments import FourProperties
from landscope.linalg import Estimate

# Variable: heading of its column. Three tables, for one would not fit into 80 characters.
_CURVATURE: Mapping[str, str] = {
    "loss": "loss",
    "test_accuracy": "test acc.",
    "hessian_eigenvalues": "λmax(H)",
    "hessian_num_outliers": "outliers",
    "hessian_top_gradient_power": "‖g‖² in top C",
    "hessian_trace_over_norm": "Tr H/‖H‖",
}
_SWEEP: Mapping[str, str] = {
    "loss": "loss",
    "test_accuracy": "test acc.",
    "lambda_max": "λmax(H)",
    "q_sl": "q_SL",
}
_LOGITS: Mapping[str, str] = {
    "q_slsc": "q_SLSC",
    "q_sl": "q_SL",
    "q_dl": "q_DL",
    "sigma_z": "σ_z",
    "entropy": "entropy",
    "logit_curvature_ratio": "‖R‖/‖G‖",
}
_STABILITY: Mapping[str, str] = {
    "max_learning_rate": "largest stable η",
    "preconditioned_sharpness": "λmax(P⁻¹H)",
    "sharpness_limit": "limit",
    "stability_ratio": "over limit",
    "at_edge": "at the edge",
}


def snapshot_table(snapshot: xr.Dataset, title: str) -> Table:
    """Return one row for each scalar of a snapshot: name, value ± error, unit."""
    table = Table("quantity", "value", "unit", title=title, title_justify="left")
    for name in snapshot.data_vars:
        variable = snapshot[name]
        is_number = variable.ndim == 0 and np.issubdtype(variable.dtype, np.number)
        if is_number and not str(name).endswith(("_stderr", "_error")):
            table.add_row(
                variable.attrs.get("long_name", str(name)),
                _number(snapshot, str(name), with_error),
                variable.attrs.get("units", ""),
            )
    return table


def trajectory_tables(trajectory: xr.Dataset) -> list[Table]:
    """Return one row for each measured step: curvature and gradient, logits, stability.

    Of the eigenvalues the largest is shown. Brackets hold the error of the last digits. What was
    not measured is left out.
    """
    tables = []
    for title, headings in (
        ("Curvature and gradient", _CURVATURE),
        ("Logit gradients and logits", _LOGITS),
        ("Stability", _STABILITY),
    ):
        columns = {name: head for name, head in headings.items() if name in trajectory}
        table = Table("step", *columns.values(), title=title, title_justify="left")
        for step in trajectory.step.values:
            snapshot = trajectory.sel(step=step)
            table.add_row(
                str(step), *(_number(snapshot, name, with_error_in_brackets) for name in columns)
            )
        if columns:
            tables.append(table)
    return tables


def properties_table(found: FourProperties) -> Table:
    """Return one row for each of the four properties: what the paper says, what was found."""
    outliers, gradient = found.outliers, found.gradient
    transient, signature = found.transient, found.signature
    table = Table(
        "property",
        "the paper says",
        "this run, first → last step",
        title="The four properties (Fort & Ganguli 2019, arXiv:1910.05929)",
        title_justify="left",
        show_lines=True,
    )
    table.add_row(
        "1  Outliers of the Hessian",
        f"C − 1 or C of them: {outliers.num_classes - 1} or {outliers.num_classes}",
        f"{outliers.initial} → {outliers.at_peak} (at the peak, step {transient.peak_step}) → "
        f"{outliers.final}",
    )
    table.add_row(
        "2  Gradient power in the top C eigenvectors",
        f"most of it (by chance: C/D = {gradient.chance:.1g})",
        f"{gradient.initial:.2f} → {gradient.final:.2f}",
    )
    table.add_row(
        "3  Transient of the largest eigenvalue",
        "rises, then falls",
        f"{with_error(transient.initial)} → {with_error(transient.peak)} "
        f"(step {transient.peak_step}) → {with_error(transient.final)} "
        f"(step {transient.final_step}): "
        + ("rises, then falls" if transient.rises_then_falls else "not seen at these steps"),
    )
    table.add_row(
        "4  Curvature signature Tr(H)/‖H‖ (no hyperplane is trained in here)",
        "falls as the logits spread, leaving the Goldilocks zone",
        f"H: {_estimated(signature.initial)} → {_estimated(signature.final)}\n"
        f"G-term: {_estimated(signature.initial_gauss_newton)} → "
        f"{_estimated(signature.final_gauss_newton)}",
    )
    return table


def claims_table(claims: Sequence[Mapping[str, str]]) -> Table:
    """Return one row for each claim: what is claimed, whether it holds, the numbers."""
    table = Table("claim", "verdict", "measured", show_lines=True)
    for claim in claims:
        table.add_row(claim["statement"], claim["verdict"], claim["measured"])
    return table


def model_table(numbers: Sequence[Mapping[str, Any]], swept: str | None = None) -> Table:
    """Return one row for each scalar of the random model, and along a sweep for each value of it.

    Parameters
    ----------
    numbers
        Each with `quantity`, `drawn`, `theory` and their errors; along a sweep with `value`.
    swept
        The parameter that was swept.
    """
    table = Table(*([swept] if swept else []), "quantity", "drawn", "theory")
    before = None
    for row in numbers:
        value = row.get("value")
        head = [f"{value:.4g}" if value != before else ""] if swept else []
        table.add_row(
            *head,
            row["quantity"],
            *(_printed(row[kind], row[f"{kind}_stderr"]) for kind in ("drawn", "theory")),
            end_section=row["quantity"] == numbers[-1]["quantity"],
        )
        before = value
    return table


def sweep_table(ends: Sequence[Mapping[str, Any]]) -> Table:
    """Return one row for each combination of choices: means over seeds, errors in brackets.

    Parameters
    ----------
    ends
        Each with `choices`, `numbers`, a mean and its standard error by name, and `outcomes`.
    """
    measured = {name for end in ends for name in end["numbers"]}
    columns = {name: head for name, head in _SWEEP.items() if name in measured}
    table = Table(
        *(name.replace("_", "\n") for name in ends[0]["choices"]),
        *columns.values(),
        "cells",
        title="At the end of training, means over seeds",
        title_justify="left",
    )
    for end in ends:
        numbers = (end["numbers"].get(name, (None, None)) for name in columns)
        count = sum(end["outcomes"].values())
        outcomes = (f"{count} {outcome}" for outcome, count in sorted(end["outcomes"].items()))
        table.add_row(
            *map(str, end["choices"].values()),
            *(_printed(mean, error, with_error_in_brackets) for mean, error in numbers),
            str(count) if count == end["outcomes"].get("complete") else "\n".join(outcomes),
        )
    return table


def zone_table(zone: xr.Dataset) -> Table:
    """Return one row for each radius: what hyperplanes see of H, means over them ± their errors."""
    one = zone.isel(nonlinearity=0)
    more = [name for name in ("sigma_z", "entropy", "accuracy") if name in one]
    table = Table("radius", "Tr H/‖H‖", "positive share", *more)
    for radius in one["radius"].values:
        at = one.sel(radius=radius)
        table.add_row(
            f"{radius:.3g}",
            *(_over_seeds(at[name]) for name in ("trace_over_norm", "positive_share")),
            *(f"{float(at[name].mean()):.3g}" for name in more),
        )
    return table


def intrinsic_dimension_table(found: xr.Dataset) -> Table:
    """Return one row for each dimension: the accuracy reached, a mean over seeds ± its error."""
    one = found.isel(data=0, network=0)
    table = Table("d", "accuracy")
    for dim in one["dim"].values:
        table.add_row(f"{dim:,}", _over_seeds(one["accuracy"].sel(dim=dim)))
    table.add_row(f"all {int(one['num_params']):,}", _over_seeds(one["full_accuracy"]))
    return table


def _over_seeds(values: xr.DataArray) -> str:
    count = values.sizes["seed"]
    stderr = float(values.std("seed", ddof=1)) / count**0.5 if count > 1 else 0.0
    return with_error(float(values.mean()), stderr)


def _printed(
    value: float | None,
    stderr: float | None,
    printed: Callable[[float, float], str] = with_error,
) -> str:
    """A number of a JSON file, where NaN is null."""
    return printed(np.nan if value is None else value, 0.0 if stderr is None else stderr)


def _estimated(estimate: Estimate) -> str:
    return with_error(estimate.value, estimate.stderr)


def _number(snapshot: xr.Dataset, name: str, printed: Callable[[float, float], str]) -> str:
    if np.issubdtype(snapshot[name].dtype, np.integer):
        return f"{int(snapshot[name]):,}"
    largest = {"rank": 0} if name == "hessian_eigenvalues" else {}
    found = (f"{name}{ending}" for ending in ("_stderr", "_error"))
    errors = [float(snapshot[error].isel(largest)) for error in found if error in snapshot]
    return printed(float(snapshot[name].isel(largest)), max(errors, default=0.0))
