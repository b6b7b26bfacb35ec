"""Measured values as labelled variables: each with its definition, an estimate with its error."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr

from landscope.geometry.definitions import DEFINITIONS
from landscope.linalg import Estimate


def variables(values: Mapping[str, Any]) -> dict[str, xr.Variable]:
    """Every value with its definition; an estimate's standard error as a variable beside it.

    Parameters
    ----------
    values : mapping of names to numbers, arrays or tensors
        Under the names of `landscope.geometry.definitions.DEFINITIONS`, or one of them with
        ``_stderr``.

    Returns
    -------
    dict
        Variables with ``long_name``, ``units``, ``definition`` and ``source``.

    Examples
    --------
    >>> described = variables({"entropy": Estimate(1.5, stderr=0.1)})
    >>> list(described), described["entropy"].attrs["units"]
    (['entropy', 'entropy_stderr'], 'nats')
    """
    return dict(_described(values))


def _described(values: Mapping[str, Any]) -> Iterator[tuple[str, xr.Variable]]:
    for name, value in values.items():
        about = DEFINITIONS[name.removesuffix("_stderr")]
        attributes = about._asdict()
        dims = attributes.pop("dims")
        of_error = attributes | {
            "long_name": f"standard error of {about.long_name}",
            "definition": f"standard error of the estimate: {about.definition}",
        }
        array = value.cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        yield name, xr.Variable(dims, array, of_error if name.endswith("_stderr") else attributes)
        if isinstance(value, Estimate):
            yield f"{name}_stderr", xr.Variable(dims, value.stderr, of_error)
