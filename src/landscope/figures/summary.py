"""The main numbers of a trajectory: first, peak and last, with their errors."""

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr

from landscope.figures.stages import present, series
from landscope.linalg import decimals_of


@dataclass(frozen=True)
class Row:
    """One quantity along training, as text.

    Attributes
    ----------
    label
        Name, symbol and unit.
    first, peak, last
        Its value and standard error at the first step, where it is largest, and at the last step.
    peak_step
        Where it is largest.
    """

    label: str
    first: str
    peak: str
    peak_step: int
    last: str


@dataclass(frozen=True)
class Group:
    """Quantities that belong together.

    Attributes
    ----------
    heading
        What they tell.
    rows
        One for each quantity that was measured.
    """

    heading: str
    rows: list[Row]


def summary(trajectory: xr.Dataset) -> list[Group]:
    """Read the main numbers off a trajectory.

    Parameters
    ----------
    trajectory
        With dimension `step`.

    Returns
    -------
    list of Group
        The paper's four properties, the observations its model rests on, stability, and training.
    """
    numbers = with_entries(trajectory)
    groups = (
        Group(heading, [_row(numbers, *row) for row in rows if present(numbers, row[0])])
        for heading, rows in _GROUPS
    )
    return [group for group in groups if group.rows]


def plus_minus(value: float, error: float = 0.0) -> str:
    """Write a number with its error, to two digits of the error and at most five of the number.

    Parameters
    ----------
    value
        Exact where `error` is zero or NaN; then it is given to four digits.
    error
        Its standard error. Below the last digit written it is left out.

    Examples
    --------
    >>> plus_minus(12.3456, 0.21), plus_minus(-0.123456), plus_minus(4.2e-6, 3e-7)
    ('12.35 ± 0.21', '−0.1235', '(4.20 ± 0.30)·10⁻⁶')
    >>> plus_minus(1.03228437, 4e-7)
    '1.0323'
    """
    if not math.isfinite(value):
        return "–"
    if not error > 0:
        return f"{value:.4g}".replace("-", "−")
    exponent = math.floor(math.log10(max(abs(value), error)))
    power = exponent if not -4 < exponent < 6 else 0
    scaled, margin = value / 10.0**power, error / 10.0**power
    decimals = max(0, min(decimals_of(margin), 4 - exponent + power))
    text = f"{scaled:.{decimals}f}".replace("-", "−")
    if margin > 0.5 / 10.0**decimals:
        text = f"{text} ± {margin:.{decimals}f}"
        return f"({text})·{_power_of_ten(power)}" if power else text
    return f"{text}·{_power_of_ten(power)}" if power else text


def _power_of_ten(power: int) -> str:
    return f"10{str(power).translate(_SUPERSCRIPTS)}"


_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


# Variable and label; an entry of an array by the name that `with_entries` gives it.
_GROUPS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Property 1 · few directions of high curvature",
        (
            ("hessian_num_outliers", "outliers of H"),
            ("gauss_newton_num_outliers", "outliers of G"),
            ("gauss_newton_effective_rank", "effective rank (Tr G)²/‖G‖²"),
        ),
    ),
    (
        "Property 2 · the gradient lies in them",
        (
            ("hessian_top_gradient_power", "share of ‖g‖² in the top C of H"),
            ("gauss_newton_top_gradient_power", "share of ‖g‖² in the top C of G"),
        ),
    ),
    (
        "Property 3 · curvature rises, then falls",
        (
            ("lambda_max", "λ<sub>max</sub>(H), loss/weight²"),
            ("hessian_trace", "Tr H, loss/weight²"),
        ),
    ),
    (
        "Property 4 · the Goldilocks zone, by its signature",
        (("hessian_trace_over_norm", "Tr H/‖H‖"),),
    ),
    (
        "Observation 1 · weak logit curvature",
        (
            ("logit_curvature_ratio", "‖R‖/‖G‖"),
            ("top_share", "share of G in λ<sub>max</sub>(H)"),
        ),
    ),
    (
        "Observation 2 · logit gradients cluster",
        (
            ("q_slsc", "q<sub>SLSC</sub>"),
            ("q_sl", "q<sub>SL</sub>"),
            ("q_dl", "q<sub>DL</sub>"),
        ),
    ),
    (
        "Observation 3 · probabilities freeze",
        (
            ("label_entropy", "entropy of a label, nats"),
            ("sigma_z", "logit spread σ<sub>z</sub>"),
            ("entropy", "entropy S, nats"),
            ("participation", "participation Y"),
            ("frozen_fraction", "share of examples with p<sub>max</sub> > 0.99"),
        ),
    ),
    (
        "Stability · the optimiser's step against the largest",
        (
            ("stability_ratio", "λ<sub>max</sub>(P⁻¹H) over its limit"),
            ("max_learning_rate", "largest stable η"),
        ),
    ),
    (
        "Training",
        (
            ("loss", "loss"),
            ("accuracy", "accuracy"),
            ("label_accuracy", "accuracy of labels"),
            ("exact_match", "share of examples with all labels right"),
            ("test_accuracy", "test accuracy"),
            ("learning_rate", "learning rate η"),
            ("weight_norm", "weight norm ‖W‖"),
        ),
    ),
)

LABELS = {name: label for _, rows in _GROUPS for name, label in rows}
"""Name, symbol and unit of each main number."""


def with_entries(trajectory: xr.Dataset) -> xr.Dataset:
    """Add the numbers that are the first entry of an array.

    Parameters
    ----------
    trajectory
        With dimension `step`.

    Returns
    -------
    xarray.Dataset
        With `lambda_max` of H and its error, `gauss_newton_lambda_max`, and `top_share`, that of G
        in λ_max(H), as far as they were measured.

    Examples
    --------
    >>> trajectory = xr.Dataset({"hessian_eigenvalues": (("step", "rank"), [[3.0, 1.0]])})
    >>> with_entries(trajectory).lambda_max.values
    array([3.])
    """
    entries = {
        "lambda_max": "hessian_eigenvalues",
        "lambda_max_stderr": "hessian_residuals",
        "gauss_newton_lambda_max": "gauss_newton_eigenvalues",
        "top_share": "gauss_newton_share",
    }
    return trajectory.assign(
        {
            name: trajectory[array].isel(rank=0)
            for name, array in entries.items()
            if array in trajectory
        }
    )


def _row(numbers: xr.Dataset, name: str, label: str) -> Row:
    values, errors = series(numbers, name), series(numbers, f"{name}_stderr")
    peak = int(np.nanargmax(values))
    first, highest, last = (plus_minus(values[i], errors[i]) for i in (0, peak, -1))
    return Row(label, first, highest, int(numbers["step"].values[peak]), last)
