"""The main numbers of a run: its first snapshot beside its last."""

from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr

from landscope.runs import Run

_PACKAGES = ("landscope", "torch", "numpy", "scipy", "xarray")


def summarize(run: Run) -> dict[str, Any]:
    """Give what `summary.json` holds.

    Parameters
    ----------
    run
        With at least one snapshot.

    Returns
    -------
    dict
        The measured "steps"; every scalar of the "first" and of the "last" snapshot by name; the
        "config"; the "versions" of the packages that measured.
    """
    steps = run.steps()
    return {
        "steps": steps,
        "first": scalars(run.snapshot(steps[0])),
        "last": scalars(run.snapshot(steps[-1])),
        "config": run.config,
        "versions": {package: version(package) for package in _PACKAGES},
    }


def scalars(snapshot: xr.Dataset) -> dict[str, Any]:
    """Read every number of a snapshot that is no array, by its name.

    Examples
    --------
    >>> scalars(xr.Dataset({"loss": 2.5, "hessian_eigenvalues": ("rank", [3.0, 1.0])}))
    {'loss': 2.5}
    """
    return {
        str(name): variable.item()
        for name, variable in snapshot.data_vars.items()
        if variable.ndim == 0 and np.issubdtype(variable.dtype, np.number)
    }
