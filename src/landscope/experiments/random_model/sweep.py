"""The model's scalars along one parameter, drawn and predicted."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from landscope.experiments.progress import Progress, silent
from landscope.experiments.random_model.draw import num_detached, top_power
from landscope.random_model import Landscape, RandomModel

LONG_NAMES = {
    "top_eigenvalue": "largest eigenvalue λ_1",
    "last_outlier": "eigenvalue λ_{C−1}",
    "edge": "bulk: λ_C drawn, edge predicted",
    "num_outliers": "eigenvalues beyond the bulk",
    "top_power": "share of ‖g‖² in the top C − 1",
    "trace_over_norm": "Tr H/‖H‖_F",
}


def sweep(
    models: Sequence[RandomModel], seed: int = 0, num_draws: int = 4, progress: Progress = silent
) -> xr.Dataset:
    """Draw from each model and set every scalar beside its theory, given the same draw.

    Parameters
    ----------
    models : sequence of RandomModel
        One for each point.
    seed : int
        Of the first draw; the others have the seeds after it, the same at each point.
    num_draws : int
        Draws at each point.
    progress : callable
        Called as progress(done, total, doing).

    Returns
    -------
    xarray.Dataset
        Along (point, draw) each of `LONG_NAMES`, and the same with `_theory`.
    """
    tables = np.full((2, len(LONG_NAMES), len(models), num_draws), np.nan)
    for point, model in enumerate(models):
        for draw in range(num_draws):
            progress(point * num_draws + draw, len(models) * num_draws, "drawing")
            tables[:, :, point, draw] = _scalars(model.sample(seed + draw))
    dims = ("point", "draw")
    variables = {}
    for i, (name, long_name) in enumerate(LONG_NAMES.items()):
        variables[name] = (dims, tables[0, i], {"long_name": long_name})
        variables[f"{name}_theory"] = (
            dims,
            tables[1, i],
            {"long_name": f"{long_name}, predicted given the draw"},
        )
    return xr.Dataset(variables)


def _scalars(land: Landscape) -> tuple[list[float], list[float]]:
    theory, values = land.theory(), land.eigenvalues()
    C = land.model.num_classes
    predicted = np.append(theory.outliers, np.full(C, theory.edge))
    drawn = np.append(values, np.zeros(C))
    return (
        [
            drawn[0],
            drawn[C - 2],
            drawn[C - 1],
            num_detached(values, theory),
            top_power(land, C - 1),
            _ratio(land.trace(), land.frobenius_norm()),
        ],
        [
            predicted[0],
            predicted[C - 2],
            theory.edge,
            len(theory.outliers),
            float(theory.gradient_power[: C - 1].sum()) if theory.gradient_norm > 0 else np.nan,
            _ratio(theory.trace, theory.frobenius_norm),
        ],
    )


def _ratio(trace: float, norm: float) -> float:
    return trace / norm if norm > 0 else np.nan
