"""Tables of a data set: one CSV file for all that has the same dimensions."""

from collections import defaultdict
from pathlib import Path

import xarray as xr

from landscope.system.atomic import appearing


def write_tables(dataset: xr.Dataset, folder: Path) -> list[Path]:
    """Write every variable as a column of one table for each set of dimensions.

    Parameters
    ----------
    dataset : xarray.Dataset
        Rows that are all NaN, the padding of ragged arrays, are left out,
        and so are scalar coordinates.
    folder : Path
        Gets `scalars.csv` and files named by their dimensions, such as `draw_labels.csv`.

    Returns
    -------
    list of Path
    """
    folder.mkdir(parents=True, exist_ok=True)
    dataset = dataset.drop_vars([name for name, c in dataset.coords.items() if c.ndim == 0])
    by_dims: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, variable in dataset.data_vars.items():
        by_dims[tuple(sorted(map(str, variable.dims)))].append(str(name))
    written = []
    for dims, names in by_dims.items():
        path = folder / f"{'_'.join(dims) or 'scalars'}.csv"
        columns = dataset[names]
        table = columns.to_dataframe() if dims else columns.expand_dims("row").to_dataframe()
        with appearing(path) as beside:
            table.dropna(subset=names, how="all").to_csv(
                beside, index=bool(dims), lineterminator="\n"
            )
        written.append(path)
    return written
