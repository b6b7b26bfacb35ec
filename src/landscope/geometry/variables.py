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
        ``_stderr`` or, of a bound on the error, ``_error``.

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


ERRORS = {"_stderr": "standard error", "_error": "bound on the error"}
"""What a variable is whose name ends so, of the one whose name it begins with."""


def _described(values: Mapping[str, Any]) -> Iterator[tuple[str, xr.Variable]]:
    for name, value in values.items():
        quantity, ending = name, ""
        for known in ERRORS:
            if name not in DEFINITIONS and name.endswith(known):
                quantity, ending = name.removesuffix(known), known
        dims, attributes = _about(quantity, ending)
        array = value.cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        yield name, xr.Variable(dims, array, attributes)
        if isinstance(value, Estimate):
            dims, attributes = _about(name, "_stderr")
            yield f"{name}_stderr", xr.Variable(dims, value.stderr, attributes)


def _about(quantity: str, ending: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Dimensions and attributes of a quantity, or of its error."""
    about = DEFINITIONS[quantity]
    attributes = about._asdict()
    dims = attributes.pop("dims")
    if ending:
        attributes |= {
            "long_name": f"{ERRORS[ending]} of {about.long_name}",
            "definition": f"{ERRORS[ending]} of: {about.definition}",
        }
    return dims, attributes
