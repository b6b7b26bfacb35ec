"""Read a trajectory: its stages, series along training, and what is absent."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from landscope.figures.style import stage_colours

# More stages than this are thinned in a slider, so that a report stays small.
SLIDER_STAGES = 24


class NotMeasuredError(ValueError):
    """What a picture shows is not in the measurements."""


@dataclass(frozen=True)
class Stage:
    """What was measured at one step of training.

    Attributes
    ----------
    step
        The training step.
    label
        The stage in words, such as "step 120".
    colour
        Its colour wherever stages share a panel.
    snapshot
        The measurements, without the dimension `step`.
    """

    step: int
    label: str
    colour: str
    snapshot: xr.Dataset

    def number(self, name: str) -> float:
        """Read a scalar; NaN where it is absent."""
        return float(self.snapshot[name]) if name in self.snapshot else float("nan")

    def vector(self, name: str) -> np.ndarray:
        """Read an array of one dimension without its NaN padding; empty where it is absent."""
        if name not in self.snapshot:
            return np.empty(0)
        values = np.asarray(self.snapshot[name].values, dtype=float)
        return values[np.isfinite(values)]


def as_trajectory(measured: xr.Dataset, required: Sequence[str] = ()) -> xr.Dataset:
    """Give measurements the dimension `step`: a single snapshot is a trajectory of one step.

    Parameters
    ----------
    measured
        A snapshot or a trajectory.
    required
        Variables that must be present and finite somewhere.

    Raises
    ------
    NotMeasuredError
        If a required variable is absent.

    Examples
    --------
    >>> as_trajectory(xr.Dataset({"loss": 2.3})).sizes["step"]
    1
    >>> as_trajectory(xr.Dataset({"loss": 2.3}), required=["sigma_z"])
    Traceback (most recent call last):
    ...
    landscope.figures.stages.NotMeasuredError: 'sigma_z' was not measured
    """
    trajectory = measured if "step" in measured.dims else measured.expand_dims("step")
    for name in absent(trajectory, required):
        raise NotMeasuredError(f"{name!r} was not measured")
    return trajectory


def absent(trajectory: xr.Dataset, names: Sequence[str]) -> list[str]:
    """List those of `names` that were not measured: missing or nowhere finite."""
    return [
        name
        for name in names
        if name not in trajectory or not np.isfinite(trajectory[name].values).any()
    ]


def present(trajectory: xr.Dataset, *names: str) -> bool:
    """Whether all of `names` were measured."""
    return not absent(trajectory, names)


def stages(trajectory: xr.Dataset, at_most: int = SLIDER_STAGES) -> list[Stage]:
    """Pick stages evenly among the measured steps, the first and the last included.

    Parameters
    ----------
    trajectory
        With dimension `step`.
    at_most
        How many stages to pick at the most.

    Examples
    --------
    >>> trajectory = xr.Dataset({"loss": ("step", [3.0, 2.0, 1.0])}, coords={"step": [0, 5, 9]})
    >>> [stage.label for stage in stages(trajectory, at_most=2)]
    ['step 0', 'step 9']
    """
    steps = trajectory["step"].values
    picked = np.unique(np.linspace(0, len(steps) - 1, min(at_most, len(steps))).round().astype(int))
    return [
        Stage(int(steps[i]), f"step {int(steps[i]):,}", colour, trajectory.isel(step=int(i)))
        for i, colour in zip(picked, stage_colours(len(picked)), strict=True)
    ]


def series(trajectory: xr.Dataset, name: str) -> np.ndarray:
    """Read a scalar at every step, shape (steps,); NaN where it is absent."""
    count = trajectory.sizes["step"]
    if name not in trajectory:
        return np.full(count, np.nan)
    return np.broadcast_to(np.asarray(trajectory[name].values, dtype=float), (count,))


def number_of_classes(trajectory: xr.Dataset) -> int:
    """Read C, the number of logits."""
    if present(trajectory, "num_classes"):
        return int(series(trajectory, "num_classes")[-1])
    return trajectory.sizes["logit"]


def logits_looked_at(measured: xr.Dataset) -> list[int]:
    """List the logits along the dimension `logit`: all, or those chosen of a large vocabulary."""
    if "logits" not in measured:
        return list(range(measured.sizes["logit"]))
    chosen = measured["logits"].values.reshape(-1, measured.sizes["logit"])[-1]
    return [int(k) for k in chosen]


@dataclass(frozen=True)
class TrainingAxis:
    """Where training steps lie on a horizontal axis.

    Attributes
    ----------
    steps, positions
        The steps and where each lies, shape (steps,).
    ticks, tick_labels
        The positions of the ticks and what stands there.
    """

    steps: np.ndarray
    positions: np.ndarray
    ticks: list[float]
    tick_labels: list[str]

    def at(self, steps: Sequence[int] | np.ndarray) -> np.ndarray:
        """Give the positions of some of the steps, which ascend."""
        return self.positions[np.searchsorted(self.steps, steps)]


def training_axis(steps: Sequence[int] | np.ndarray) -> TrainingAxis:
    """Lay out the steps: linear, or logarithmic with step 0 where they span many scales.

    Schedules measure at step 0 and then at log-spaced steps, so the position of step s is
    log₁₀(1 + s/s₁), with s₁ the first step after 0: linear at the start, logarithmic later.

    Examples
    --------
    >>> axis = training_axis([0, 1, 10, 100, 600])
    >>> axis.tick_labels
    ['0', '1', '10', '100', '600']
    """
    steps = np.asarray(steps, dtype=float)
    positive = steps[steps > 0]
    first, last = (positive.min(), positive.max()) if positive.size else (1.0, 1.0)
    if last < 20 * first:
        return TrainingAxis(steps, steps, [*steps], [f"{step:,.0f}" for step in steps])

    def position(step: np.ndarray | float) -> np.ndarray:
        return np.log10(1 + np.asarray(step) / first)

    decades = 10.0 ** np.arange(np.ceil(np.log10(first)), np.log10(last) + 1)
    # Half a decade keeps the label of the last step clear of the decade before it.
    marks = [step for step in (0.0, *decades) if step == 0 or step < last / 3] + [last]
    return TrainingAxis(
        steps, position(steps), [float(position(s)) for s in marks], [f"{s:,.0f}" for s in marks]
    )
