"""A cell of a grid: one network, trained and measured on the way."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import xarray as xr

from landscope.problem import NonFiniteError, Problem
from landscope.runs import Run
from landscope.training import TrainConfig, measuring_steps, train
from landscope.training.trainer import measured_problem

STAGES = ("initialisation", "early", "middle", "late")
"""Training is measured at steps 0, T^⅓, T^⅔ and T."""

POINTS = ("initialisation", "trained")
"""From where weights are scaled."""


@dataclass(frozen=True)
class Cell:
    """A network trained and measured on the way, in a run folder of its own.

    Attributes
    ----------
    training : TrainConfig
        What to train, how, and when to measure.
    measure : callable
        A function of a module, (problem, seed) → Dataset.
    radii : tuple of float
        Multiples of the weights that are measured too.
    points : tuple of str
        From where weights are scaled, of `POINTS`.
    """

    training: TrainConfig
    measure: Callable[..., xr.Dataset]
    radii: tuple[float, ...] = ()
    points: tuple[str, ...] = POINTS

    @property
    def name(self) -> str:
        """Its folder: what it is in words, and a digest of all choices."""
        config = self.training
        choices = [config.identity(), self.measure.__name__, self.radii, self.points]
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

    def trajectory(self) -> xr.Dataset:
        """Snapshots along `training_step`; NaN where a diverged training did not come to."""
        measured = self.run.trajectory().reindex(step=self.cell.steps())
        return measured.rename(step="training_step")

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
        wanted = set(range(len(self.cell.radii)))
        return set(self.cell.steps()) <= set(self.run.steps()) and all(
            wanted <= set(_radius_run(self.run, point).steps())
            for point in self.cell.points
            if wanted
        )


def follow(cell: Cell, folder: Path) -> Trained:
    """Train and measure a cell into `folder / cell.name`; go on where a killed run stopped."""
    measure = partial(cell.measure, seed=cell.training.seed)
    run = Run(folder / cell.name)
    try:
        train(cell.training, run.path, measure=measure)
    except NonFiniteError as error:
        return Trained(cell, run, str(error))
    if cell.radii:
        initial = measured_problem(cell.training)
        for point in cell.points:
            problem = initial if point == POINTS[0] else _at_the_end(initial, run)
            _scale(problem, cell.radii, _radius_run(run, point), measure)
    return Trained(cell, run)


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


def _at_the_end(problem: Problem, run: Run) -> Problem:
    """The problem at the weights that training ended with."""
    last = run.latest_checkpoint()
    assert last is not None, "the last measured step has a checkpoint"
    named = {
        name.removeprefix("model."): tensor.to(problem.device)
        for name, tensor in last.tensors.items()
        if name.startswith("model.")
    }
    return problem.at(problem.flatten(named))


def _radius_run(run: Run, point: str) -> Run:
    return Run(run.path / "radius" / point)
