"""Snapshots: one measured point of a run as one immutable NetCDF file."""

from pathlib import Path

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
    with appearing(path) as beside:
        dataset.to_netcdf(beside, engine="h5netcdf")


def read_snapshot(path: Path) -> xr.Dataset:
    """Read a snapshot into memory."""
    return xr.load_dataset(path, engine="h5netcdf")
