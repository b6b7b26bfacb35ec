"""Snapshots put side by side along the training step."""

from collections.abc import Sequence
from typing import Any

import xarray as xr


def concatenate(snapshots: Sequence[xr.Dataset]) -> xr.Dataset:
    """Concatenate snapshots along the new dimension `step`.

    A variable that some snapshots lack is NaN there. A dimension without labels that is shorter
    in some snapshots (fewer eigenvalues, say) is padded at its end with NaN; labelled dimensions
    are joined by their labels.

    Parameters
    ----------
    snapshots
        Datasets, each with a scalar coordinate `step`.

    Returns
    -------
    xarray.Dataset
        With dimension and coordinate `step`, in the order given; the attributes of a variable
        are those of the first snapshot that has it.

    Examples
    --------
    >>> first = xr.Dataset({"eigenvalues": ("rank", [3.0])}, coords={"step": 0})
    >>> second = xr.Dataset({"eigenvalues": ("rank", [5.0, 1.0])}, coords={"step": 10})
    >>> concatenate([first, second]).eigenvalues.values
    array([[ 3., nan],
           [ 5.,  1.]])
    """
    lengths: dict[Any, int] = {}
    attributes: dict[Any, dict[Any, Any]] = {}
    for snapshot in snapshots:
        for dimension, length in snapshot.sizes.items():
            lengths[dimension] = max(length, lengths.get(dimension, 0))
        for name, variable in snapshot.variables.items():
            attributes.setdefault(name, variable.attrs)
    trajectory = xr.concat(
        [_padded(snapshot, lengths) for snapshot in snapshots],
        dim="step",
        data_vars="all",
        coords="minimal",
        compat="override",
        join="outer",
        combine_attrs="override",
    )
    for name, attrs in attributes.items():
        trajectory[name].attrs = attrs
    return trajectory


def _padded(snapshot: xr.Dataset, lengths: dict[Any, int]) -> xr.Dataset:
    missing = {
        dimension: (0, lengths[dimension] - length)
        for dimension, length in snapshot.sizes.items()
        if length < lengths[dimension] and dimension not in snapshot.indexes
    }
    return snapshot.pad(missing) if missing else snapshot
