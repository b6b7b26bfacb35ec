"""A cell of a grid: one network, trained and measured on the way."""

import hashlib
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import xarray as xr

from landscope.problem import NonFiniteError, Problem
from landscope.runs import Run
from landscope.system.atomic import appearing
from landscope.training import TrainConfig, measuring_steps, train
from landscope.training.measured_by import measured_by
from landscope.training.trainer import measured_problem

STAGES = ("initialisation", "early", "middle", "late")
"""Training is measured at steps 0, T^⅓, T^⅔ and T."""

POINTS = ("initialisation", "trained")
"""From where weights are scaled."""

ATTEMPTS = "attempts.jsonl"
_DIVERGED = "diverged.txt"


@dataclass(frozen=True)
class Cell:
    """A network trained and measured on the way, in a run folder of its own.

    Attributes
    ----------
    training : TrainConfig
        What to train, how, and when to measure.
    measure : callable
        A function of a module, or what has a `__name__` like one: (problem, seed) → Dataset.
    radii : tuple of float
        Multiples of the weights that are measured too.
    points : tuple of str
        From where weights are scaled, of `POINTS`.
    code : str
        Digest of `measure`, found where the cell is made: a worker may not have its source.
    """

    training: TrainConfig
    measure: Callable[..., xr.Dataset]
    radii: tuple[float, ...] = ()
    points: tuple[str, ...] = POINTS
    code: str = ""

    def __post_init__(self) -> None:
        if not self.code:
            object.__setattr__(self, "code", measured_by(self.measure)["code"])

    @property
    def name(self) -> str:
        """Its folder: what it is in words, and a digest of all choices."""
        config = self.training
        choices = [config.identity(), self.measure.__name__, self.code, self.radii, self.points]
        digest = hashlib.sha256(json.dumps(choices, sort_keys=True).encode()).hexdigest()[:10]
        words = [config.data, config.network, config.nonlinearity, self.measure.__name__]
        return "-".join([*words, f"seed{config.seed}", digest])

    def steps(self) -> list[int]:
        """At which steps it is measured."""
        return measuring_steps(self.training.steps, self.training.num_measurements)


@dataclass(frozen=True)
class Trained:
    """What became of a cell.

    Attributes
    ----------
    cell : Cell
        What was asked for.
    run : Run
        Its snapshots.
    diverged : str
        Why training ended early; empty where it did not.
    """

    cell: Cell
    run: Run
    diverged: str = ""

    @classmethod
    def kept(cls, cell: Cell, folder: Path) -> "Trained":
        """Read how far a cell came in `folder / cell.name`."""
        run = Run(folder / cell.name)
        reason = run.path / _DIVERGED
        return cls(cell, run, reason.read_text("utf-8", "replace") if reason.exists() else "")

    def trajectory(self) -> xr.Dataset:
        """Snapshots along `training_step`; NaN where a diverged training did not come to."""
        return self.along_training(self.run.trajectory())

    def along_training(self, measured: xr.Dataset) -> xr.Dataset:
        """Put what was measured along `step` at all steps of the cell, as `training_step`."""
        return measured.reindex(step=self.cell.steps()).rename(step="training_step")

    def staged(self) -> xr.Dataset:
        """Snapshots along `stage`, of a cell that is measured at as many steps."""
        stages = self.trajectory().rename(training_step="stage")
        return stages.assign_coords(stage=list(STAGES))

    def scaled(self, point: str) -> xr.Dataset:
        """Snapshots along `radius`, from the weights of `point`."""
        measured = _radius_run(self.run, point).trajectory()
        return measured.rename(step="radius").assign_coords(radius=list(self.cell.radii))

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to measure."""
        if self.diverged:
            return True
        wanted = set(range(len(self.cell.radii)))
        return set(self.cell.steps()) <= set(self.run.steps()) and all(
            wanted <= set(_radius_run(self.run, point).steps())
            for point in self.cell.points
            if wanted
        )


def follow(cell: Cell, folder: Path) -> Trained:
    """Train and measure a cell into `folder / cell.name`; go on where a killed run stopped.

    Each attempt adds a line to its `attempts.jsonl`: when, and in which process of which machine.
    """
    measure = partial(cell.measure, seed=cell.training.seed)
    run = Run(folder / cell.name)
    _note_attempt(run.path)
    try:
        train(cell.training, run.path, measure=measure, measured={"code": cell.code})
    except NonFiniteError as error:
        with appearing(run.path / _DIVERGED) as beside:
            beside.write_text(str(error), encoding="utf-8")
        return Trained(cell, run, str(error))
    if cell.radii:
        initial = measured_problem(cell.training)
        for point in cell.points:
            problem = (
                initial if point == POINTS[0] else _at_the_end(initial, run, cell.training.steps)
            )
            _scale(problem, cell.radii, _radius_run(run, point), measure)
    return Trained(cell, run)


def _note_attempt(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    now, place = datetime.now(UTC).isoformat(timespec="milliseconds"), socket.gethostname()
    with (folder / ATTEMPTS).open("a", encoding="utf-8") as attempts:
        attempts.write(json.dumps({"begun": now, "host": place, "pid": os.getpid()}) + "\n")


def _scale(
    problem: Problem,
    radii: tuple[float, ...],
    run: Run,
    measure: Callable[[Problem], xr.Dataset],
) -> None:
    run = Run.create(run.path, {"radii": radii})
    weights = problem.parameters_vector()
    for place, radius in enumerate(radii):
        if place not in run.steps():
            run.write_snapshot(place, measure(problem.at(radius * weights)))


def _at_the_end(problem: Problem, run: Run, step: int) -> Problem:
    """The problem at the weights that training ended with."""
    last = run.latest_checkpoint()
    if last is None or last.step != step:
        raise ValueError(f"{run.path} has no whole checkpoint of its last step, {step}")
    named = {
        name.removeprefix("model."): tensor.to(problem.device)
        for name, tensor in last.tensors.items()
        if name.startswith("model.")
    }
    return problem.at(problem.flatten(named))


def _radius_run(run: Run, point: str) -> Run:
    return Run(run.path / "radius" / point)
