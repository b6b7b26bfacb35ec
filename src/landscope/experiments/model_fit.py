"""Measurements at one point, and the random model fitted to it."""

from functools import wraps
from typing import Any

import numpy as np
import xarray as xr

from landscope import geometry
from landscope.problem import Problem
from landscope.random_model.fit import fit_measured

FITS = {"model": ("centroids", "isotropic"), "class_model": ("class", "anisotropic")}
"""By the prefix of their variables: the paper's model, and the one that assumes least."""

_NUM_EIGENVALUES = 40


@wraps(geometry.measure)
def measure_and_fit(problem: Problem, **options: Any) -> xr.Dataset:
    """Measure a point as `landscope.measure` does, and fit the random model to it.

    Returns
    -------
    xarray.Dataset
        With the exact `gram_eigenvalues` of G, and for each fit its outliers, its edge and
        the shares of the gradient. A fit that is refused says why in the attribute
        `model_fit_refused`.
    """
    dataset = geometry.measure(problem, **options)
    try:
        fitted = fit_variables(problem)
    except (ValueError, MemoryError) as refused:
        return dataset.assign_attrs(model_fit_refused=str(refused))
    return dataset.assign(fitted)


def fit_variables(problem: Problem) -> dict[str, Any]:
    """Fit the random model, with what it predicts beside what is measured.

    Raises
    ------
    ValueError, MemoryError
        Where `landscope.fit_random_model` refuses the problem.
    """
    measured = geometry.fit_random_model(problem).measured
    values = measured.eigenvalues()
    k = min(_NUM_EIGENVALUES, len(values))
    variables: dict[str, Any] = {
        "gram_eigenvalues": (
            "gram_rank",
            values[:k],
            {"long_name": "largest eigenvalues of G, exact", "units": "loss/weight²"},
        ),
        "gram_gradient_power": (
            "gram_rank",
            measured.gradient_power(k),
            {"long_name": "cumulative share of ‖g‖² in them", "units": "1"},
        ),
    }
    kernel = measured.gram, measured.logits, measured.labels, measured.num_params
    for prefix, (means, residuals) in FITS.items():
        theory = fit_measured(*kernel, means=means, residuals=residuals).theory()
        said = f"of the random model, means={means}, residuals={residuals}"
        variables |= {
            f"{prefix}_outliers": (
                f"{prefix}_outlier",
                theory.outliers,
                {"long_name": f"outliers {said}", "units": "loss/weight²"},
            ),
            f"{prefix}_gradient_power": (
                f"{prefix}_outlier",
                np.cumsum(theory.gradient_power),
                {"long_name": f"cumulative share of ‖g‖² {said}", "units": "1"},
            ),
            f"{prefix}_edge": (
                (),
                theory.edge,
                {"long_name": f"edge of the bulk {said}", "units": "loss/weight²"},
            ),
        }
    return variables
