"""Snapshots: one measured point of a run as one immutable NetCDF file."""

from pathlib import Path
from typing import Any

import xarray as xr

from landscope.runs.atomic import appearing


def write_snapshot(path: Path, dataset: xr.Dataset) -> None:
    """Write a Dataset to a NetCDF file that appears whole.

    Raises
    ------
    FileExistsError
        If the snapshot exists: snapshots are never overwritten.
    """
    if path.exists():
        raise FileExistsError(f"the snapshot {path} exists and snapshots are never overwritten")
    dataset = dataset.copy()  # shallow: only attributes are replaced
    for attributes in (dataset.attrs, *(v.attrs for v in dataset.variables.values())):
        attributes.update({name: _text(value) for name, value in attributes.items()})
    with appearing(path) as beside:
        dataset.to_netcdf(beside, engine="h5netcdf")


def read_snapshot(path: Path) -> xr.Dataset:
    """Read a snapshot into memory."""
    return xr.load_dataset(path, engine="h5netcdf")


def _text(value: Any) -> Any:
    """Give text of any class as a plain str: HDF5 refuses others, such as torch.__version__."""
    return str(value) if isinstance(value, str) else value
