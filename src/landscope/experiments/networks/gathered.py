"""What many cells measured, as one data set."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import xarray as xr


def gathered(
    measured: Mapping[Any, xr.Dataset], dims: Sequence[str], names: Sequence[str]
) -> xr.Dataset:
    """Set data sets beside each other along the choices that tell them apart.

    Parameters
    ----------
    measured : mapping
        One data set by the tuple of its choices.
    dims : sequence of str
        Names of the choices, the dimensions of the result beside those of the data sets.
    names : sequence of str
        Variables to keep; one that a data set lacks is NaN there.

    Returns
    -------
    xarray.Dataset
        Choices in the order in which they came; NaN where a combination is missing.

    Examples
    --------
    >>> cells = {("a", 1): xr.Dataset({"q": 0.5}), ("b", 0): xr.Dataset({"q": 0.25})}
    >>> gathered(cells, ["data", "seed"], ["q"])["q"].sel(data="b").values
    array([ nan, 0.25])
    """
    index = pd.MultiIndex.from_tuples(list(measured), names=list(dims))
    kept = [one[[name for name in names if name in one]] for one in measured.values()]
    together = xr.concat(kept, "cell", join="outer", coords="minimal", compat="override")
    cells = together.assign_coords(xr.Coordinates.from_pandas_multiindex(index, "cell"))
    order = {dim: list(dict.fromkeys(index.get_level_values(dim))) for dim in dims}
    return cells.unstack("cell").sel(order)


def said_of(holds: xr.DataArray) -> Iterator[str]:
    """Name the combinations of choices at which something does not hold.

    Examples
    --------
    >>> holds = xr.DataArray([True, False], {"data": ["MNIST", "digits"]}, dims="data")
    >>> list(said_of(holds))
    ['digits']
    """
    places = (~holds).stack(place=holds.dims)
    for place in places["place"].values[places.values]:
        yield ", ".join(map(str, place if isinstance(place, tuple) else (place,)))
