"""The numbers of a snapshot that a dashboard follows along training."""

import math

import xarray as xr

from landscope.figures.stages import as_trajectory
from landscope.figures.summary import with_entries
from landscope.training import summary


def scalars(snapshot: xr.Dataset) -> dict[str, float]:
    """Give every finite number of a snapshot under the name that trackers show it by.

    Parameters
    ----------
    snapshot
        What was measured at one step.

    Returns
    -------
    dict of str to float
        Each variable that is a single number as ``landscope/<variable>``; beside them
        ``landscope/lambda_max`` (of H, its residual as ``lambda_max_stderr``),
        ``landscope/gauss_newton_lambda_max``, and ``landscope/top_share``, the share of G in
        λ_max(H).

    Examples
    --------
    >>> scalars(xr.Dataset({"loss": 2.5, "hessian_eigenvalues": ("rank", [3.0, 1.0])}))
    {'landscope/loss': 2.5, 'landscope/lambda_max': 3.0}
    """
    numbers = summary.scalars(with_entries(as_trajectory(snapshot)).squeeze("step"))
    return {
        f"landscope/{name}": float(value) for name, value in numbers.items() if math.isfinite(value)
    }
