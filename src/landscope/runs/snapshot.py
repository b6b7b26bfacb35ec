"""Snapshots: one measured point of a run as one immutable NetCDF file under a seal."""

from pathlib import Path
from typing import Any

import netCDF4
import xarray as xr
from xarray.backends import NetCDF4DataStore

from landscope.runs.seal import DamagedFileError, Seal, check_appended, sealed
from landscope.system.atomic import appearing


def write_snapshot(path: Path, dataset: xr.Dataset, seal: Seal) -> None:
    """Write a Dataset to a NetCDF file that appears whole, replacing what was there."""
    dataset = dataset.copy()  # shallow: only attributes are replaced
    for attributes in (dataset.attrs, *(v.attrs for v in dataset.variables.values())):
        attributes.update({name: _text(value) for name, value in attributes.items()})
    # In memory, which is no disk that may be full: HDF5 crashes on closing what it could not write.
    file = netCDF4.Dataset(path.name, "w", memory=0)
    dataset.dump_to_store(NetCDF4DataStore(file))
    content = bytes(file.close())
    with appearing(path) as beside:
        beside.write_bytes(sealed(content, seal))


def read_snapshot(path: Path, seal: Seal) -> xr.Dataset:
    """Read a snapshot into memory.

    Raises
    ------
    DamagedFileError
        If it is damaged, or of another run or step than `seal` says.
    """
    check_appended(path, seal)  # before HDF5 reads what may be anything
    try:
        dataset = xr.load_dataset(path, engine="netcdf4")
        step = None if seal.step is None else int(dataset["step"])
    except Exception as error:  # a damaged file without a seal raises almost anything
        raise DamagedFileError(f"{path} is damaged: {error}") from error
    if step != seal.step:
        raise DamagedFileError(f"{path} holds step {step}")
    return dataset


def check_snapshot(path: Path, seal: Seal) -> None:
    """Find out whether `read_snapshot` would read a file.

    Raises
    ------
    DamagedFileError
        If it would not.
    """
    if not check_appended(path, seal):
        read_snapshot(path, seal)


def _text(value: Any) -> Any:
    """Give text of any class as a plain str: HDF5 refuses others, such as torch.__version__."""
    return str(value) if isinstance(value, str) else value
