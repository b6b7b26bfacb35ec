"""The pictures of one snapshot."""

import numpy as np
import xarray as xr

from landscope.figures import clustering_table, gradient_power, spectrum
from landscope.figures.gallery import drawn
from landscope.figures.static import pixels

# All others show numbers along training, which a dashboard draws itself.
_OF_ONE_STEP = (spectrum, gradient_power, clustering_table)


def pictures(step: int, snapshot: xr.Dataset) -> dict[str, np.ndarray]:
    """Draw what was measured at one step.

    Parameters
    ----------
    step
        Updates made so far, for the titles.
    snapshot
        What was measured then.

    Returns
    -------
    dict of str to numpy.ndarray
        ``landscope/spectrum``, ``landscope/gradient_power`` and ``landscope/clustering_table``, as
        far as they were measured; each of shape (height, width, 3), uint8.

    Examples
    --------
    >>> power = xr.Dataset({"hessian_gradient_power": ("rank", [0.6, 0.9]), "num_classes": 2})
    >>> {name: image.dtype for name, image in pictures(0, power).items()}
    {'landscope/gradient_power': dtype('uint8')}
    """
    stage = snapshot.assign_coords(step=step)
    return {f"landscope/{name}": pixels(figure) for name, figure in drawn(_OF_ONE_STEP, stage)}
