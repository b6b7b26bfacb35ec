"""A data set as its source gives it, before standardisation."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Source:
    """Raw arrays of a data set.

    Attributes
    ----------
    title : str
        Name to print in figures and tables.
    class_names : tuple of str
        Name of class c at position c.
    train_inputs, test_inputs : ndarray
        Examples first; images as (N, channels, height, width), of any dtype.
    train_targets, test_targets : ndarray
        Class of each example, integers (N,).
    """

    title: str
    class_names: tuple[str, ...]
    train_inputs: np.ndarray
    train_targets: np.ndarray
    test_inputs: np.ndarray
    test_targets: np.ndarray
