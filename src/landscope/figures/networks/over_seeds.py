"""Means over networks that were trained alike, with their errors."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from landscope.figures.panel import Curve
from landscope.figures.style import BAND


def mean_and_error(values: xr.DataArray) -> tuple[np.ndarray, np.ndarray | None]:
    """Mean over seeds, and two standard errors of it; None with a single seed.

    Examples
    --------
    >>> mean, error = mean_and_error(xr.DataArray([[1.0, 3.0]], dims=("place", "seed")))
    >>> mean, error
    (array([2.]), array([2.]))
    """
    values = values.astype(float)
    count = values.notnull().sum("seed")
    if int(count.max()) < 2:
        return values.mean("seed").values, None
    error = BAND * values.std("seed", ddof=1) / np.sqrt(count)
    return values.mean("seed").values, error.values


def over_seeds(
    name: str,
    x: np.ndarray,
    values: xr.DataArray,
    colour: str,
    at: Sequence[str] | None = None,
    **style: Any,
) -> Curve:
    """Describe a curve of means over seeds with its error bars.

    Parameters
    ----------
    name, x, colour
        As of any curve.
    values
        Along one dimension beside `seed`.
    at
        What each x stands for, to be said beside its value; None where x itself says it.
    style
        More attributes of the curve.
    """
    mean, error = mean_and_error(values)
    hover = None if at is None else _hover(at, mean, error)
    return Curve(
        name, x, mean, colour, **{"kind": "series", "error": error, "hover": hover} | style
    )


def each_seed(
    name: str, x: np.ndarray, values: xr.DataArray, colour: str, at: Sequence[str], **style: Any
) -> Curve:
    """Describe the points of every seed: where standard errors of a few counts would mislead.

    Parameters
    ----------
    name, x, colour, values, at, style
        As of `over_seeds`.
    """
    along, seeds = values.transpose(..., "seed").astype(float).values, values.sizes["seed"]
    hover = [
        f"{place}, seed {seed}: {value:.4g}"
        for place, row in zip(at, along, strict=True)
        for seed, value in zip(values["seed"].values, row, strict=True)
    ]
    return Curve(
        name, np.repeat(x, seeds), along.ravel(), colour, kind="points", hover=hover, **style
    )


def _hover(at: Sequence[str], mean: np.ndarray, error: np.ndarray | None) -> list[str]:
    margins = [""] * len(mean) if error is None else [f" ± {margin:.2g}" for margin in error]
    return [
        f"{place}: {value:.4g}{margin}"
        for place, value, margin in zip(at, mean, margins, strict=True)
    ]


def steps_said(steps: np.ndarray) -> list[str]:
    """Name training steps, whose places on their axis do not tell them.

    Examples
    --------
    >>> steps_said(np.array([0, 1000]))
    ['step 0', 'step 1,000']
    """
    return [f"step {int(step):,}" for step in steps]


def above_zero(curve: Curve) -> Curve:
    """Leave out what a logarithmic axis cannot show."""
    return replace(curve, y=np.where(curve.y > 0, curve.y, np.nan))


def limits_around(*values: np.ndarray) -> tuple[float, float] | None:
    """Limits of a logarithmic axis, which error bars that reach below zero do not stretch.

    None where nothing is above zero.

    Examples
    --------
    >>> limits_around(np.array([np.nan, 0.0, 1.0]), np.array([3.0]))
    (0.5, 6.0)
    """
    together = np.concatenate([np.empty(0), *(np.ravel(one) for one in values)])
    positive = together[together > 0]
    if not positive.size:
        return None
    return float(positive.min()) / 2, float(positive.max()) * 2


def limits_of(curves: list[Curve], log: bool, levels: list[float]) -> tuple[float, float] | None:
    """Limits of an axis that several curves share, with room for error bars and levels."""
    if log:
        return limits_around(*(curve.y for curve in curves))
    margins = [0.0 if curve.error is None else np.nan_to_num(curve.error) for curve in curves]
    reached = [
        curve.y + sign * margin
        for curve, margin in zip(curves, margins, strict=True)
        for sign in (-1, 1)
    ]
    values = np.concatenate([*reached, levels])
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    room = 0.08 * (values.max() - values.min()) + 1e-9
    return float(values.min() - room), float(values.max() + room)


def said_of_seeds(measured: xr.Dataset) -> str:
    """Say what error bars are, for a caption."""
    count, of = measured.sizes["seed"], measured.attrs.get("repeated", "networks of each kind")
    if count == 1:
        return "One network of each kind." if "repeated" not in measured.attrs else ""
    return f"Means over {count} {of}; error bars: ± {BAND:g} standard errors."
