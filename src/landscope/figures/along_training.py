"""A panel of scalars against the training step."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from landscope.figures.panel import Curve, Level, Panel
from landscope.figures.stages import present, series, training_axis
from landscope.figures.style import BAND

_SYMBOLS = ("circle", "diamond-open", "square")


def along_training(
    trajectory: xr.Dataset,
    title: str,
    ylabel: str,
    quantities: Sequence[tuple[str, str, str]],
    levels: Sequence[Level] = (),
    errors: Mapping[str, tuple[str, float]] | None = None,
    wide: bool = False,
) -> Panel:
    """Describe a panel of scalars against the training step, with their errors.

    Parameters
    ----------
    trajectory
        With dimension `step`.
    title, ylabel
        Labels of the panel.
    quantities
        For each curve the variable, its name in the legend and its colour. A variable that was
        not measured is left out.
    levels
        Reference lines.
    errors
        For a variable the one that holds its error, and by how much to multiply that. Otherwise
        it is `<variable>_stderr`, where there is one, times the number of standard errors that
        all bands have.
    wide
        Whether the quantity may range over many scales; where it does, the axis is logarithmic.
    """
    axis = training_axis(trajectory["step"].values)
    steps = [f"{step:,}" for step in trajectory["step"].values]
    curves = []
    for index, (variable, name, colour) in enumerate(quantities):
        if not present(trajectory, variable):
            continue
        values = series(trajectory, variable)
        source, factor = (errors or {}).get(variable, (f"{variable}_stderr", BAND))
        error = factor * series(trajectory, source) if present(trajectory, source) else None
        curves.append(
            Curve(
                name,
                axis.positions,
                values,
                colour,
                kind="series",
                error=error,
                hover=_hover(steps, values, error),
                symbol=_SYMBOLS[index],
            )
        )
    panel = Panel(
        title=title,
        xlabel="training step",
        ylabel=ylabel,
        curves=curves,
        levels=levels,
        xticks=(axis.ticks, axis.tick_labels),
    )
    return _logarithmic(panel) if wide and _ranges_over_scales(curves) else panel


def _ranges_over_scales(curves: Sequence[Curve]) -> bool:
    values = np.concatenate([np.empty(0), *(curve.y[np.isfinite(curve.y)] for curve in curves)])
    positive = values[values > 0]
    # A zero, the drift at its reference, is no reason to hide the scales of all other values.
    return bool((values >= 0).all() and positive.size and positive.max() > 30 * positive.min())


def _logarithmic(panel: Panel) -> Panel:
    """Show the scales of the values; error bars that reach zero must not stretch the axis."""
    curves = [replace(c, y=np.where(c.y > 0, c.y, np.nan)) for c in panel.curves]
    values = np.concatenate([curve.y for curve in curves])
    limits = (np.nanmin(values) / 2, 2 * np.nanmax(values))
    return replace(panel, curves=curves, log_y=True, ylim=limits)


def _hover(steps: Sequence[str], values: np.ndarray, error: np.ndarray | None) -> list[str]:
    margins = [f" ± {e:.2g}" for e in error] if error is not None else [""] * len(steps)
    return [
        f"step {step}: {value:.4g}{margin}"
        for step, value, margin in zip(steps, values, margins, strict=True)
    ]
