"""Measurements taken along any training loop."""

import copy
import inspect
import operator
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
import xarray as xr
from torch import Tensor, nn

from landscope import geometry
from landscope.hyperplanes import HyperplaneModel
from landscope.problem import Problem
from landscope.problem.data import fingerprints
from landscope.products import ProductMethod
from landscope.runs import Run
from landscope.training.batch_norm import calibrated, has_empty_statistics
from landscope.training.random_state import preserved_random_state
from landscope.training.schedule import Schedule, as_predicate
from landscope.training.summary import summarize

Measure = Callable[..., xr.Dataset]


class Recorder:
    """Measure a network at chosen steps of a training loop, into a run folder.

    The loop is not disturbed: the weights, buffers and mode of the model and all global random
    states are left as they were. A step that the run already has is not measured again, so a
    loop that was killed can be started anew on the same folder.

    Parameters
    ----------
    problem
        What is measured: model, data and loss. Only the weights change from step to step.
    run
        The run, or the path of its folder, made where absent.
    schedule
        Which steps to measure: a collection of steps, an int n (every n steps), or a function
        step → bool.
    measure
        A function problem → Dataset; `landscope.measure` if absent. Bind its options with
        `functools.partial`. If it takes a keyword `reference`, it is given the first problem
        recorded, from which drifts are measured, also after a resume. If it takes `method` or
        `memory_limit` and they are left open, what the first measurement picked and wrote into its
        snapshot holds for all of the run.

    Raises
    ------
    TypeError, ValueError
        If `schedule` is none of these, or the run belongs to another problem.

    Notes
    -----
    BatchNorm layers that have seen no batch have empty statistics; they are measured with those of
    one pass over the problem's data, on a copy of the model.

    Examples
    --------
    >>> import tempfile
    >>> model = nn.Linear(2, 3)
    >>> problem = Problem(model, (torch.ones(4, 2), torch.tensor([0, 1, 2, 0])))
    >>> def loss_only(problem):
    ...     return xr.Dataset({"loss": float(problem.loss())})
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> with Recorder(problem, tempfile.mkdtemp(), schedule=[0, 5], measure=loss_only) as recorder:
    ...     for step in range(6):
    ...         recorder.step(model, step)
    ...         optimizer.zero_grad()
    ...         nn.functional.cross_entropy(model(torch.ones(4, 2)), problem.targets()).backward()
    ...         optimizer.step()
    >>> recorder.run.steps()
    [0, 5]
    """

    def __init__(
        self,
        problem: Problem,
        run: Run | str | Path,
        schedule: Schedule,
        measure: Measure | None = None,
    ) -> None:
        self.problem = problem
        self.run = run if isinstance(run, Run) else Run.create(run, identity(problem))
        self._scheduled = as_predicate(schedule)
        self._measured = set(self.run.steps())
        self._measure = measure or geometry.measure
        self._wants_reference = _takes_reference(self._measure)
        self._reference: Problem | None = None
        self._open = _left_open(self._measure)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._measured:
            self.run.write_summary(summarize(self.run))

    def due(self, step: int) -> bool:
        """Tell whether `step` is scheduled and not yet in the run."""
        return step not in self._measured and self._scheduled(step)

    def step(
        self,
        model: nn.Module | Tensor | Mapping[str, Tensor],
        step: int,
        scalars: Mapping[str, float | xr.DataArray] | None = None,
    ) -> None:
        """Measure if `step` is due.

        Parameters
        ----------
        model
            The network being trained, the model of a hyperplane, a point (D,) of weight space, or
            parameters and buffers by name.
        step
            Updates made so far.
        scalars
            Numbers to keep beside the measurements, such as the learning rate; a DataArray brings
            its attributes along.
        """
        step = operator.index(step)
        if not self.due(step):
            return
        try:
            with preserved_random_state():
                self.run.write_snapshot(step, self._snapshot(model).assign(scalars or {}))
        except Exception as error:
            error.add_note(
                f"while measuring step {step}; earlier steps are kept in {self.run.path}"
            )
            raise
        self._measured.add(step)

    def _snapshot(self, model: nn.Module | Tensor | Mapping[str, Tensor]) -> xr.Dataset:
        if isinstance(model, HyperplaneModel):
            model = model.merged()
        if isinstance(model, nn.Module) and has_empty_statistics(model):
            batches = (batch.data for batch in self.problem.batches)
            model = calibrated(model, batches, self.problem.forward)
        here = self.problem.at(model)
        if not self._wants_reference:
            return self._measure(here, **self._picked)
        if self._reference is None:
            self._reference = self._first_recorded(model)
        return self._measure(here, reference=self._reference, **self._picked)

    @property
    def _picked(self) -> dict[str, Any]:
        """What the first measurement of the run, in this process or before, picked for itself."""
        if not (self._open and self._measured):
            return {}
        known = geometry.settings(self.run.snapshot(min(self._measured)))
        return {name: value for name, value in known.items() if name in self._open}

    def _first_recorded(self, model: nn.Module | Tensor | Mapping[str, Tensor]) -> Problem:
        """Rebuild the problem that was recorded first, or let it be this one."""
        stored = self.run.reference()
        if stored is None:
            stored = _state(model)
            self.run.write_reference(stored)
        if isinstance(model, Mapping):
            return self.problem.at(stored)
        return self.problem.at(_with_state(model, stored))


def _takes_reference(measure: Measure) -> bool:
    bound = measure.keywords if isinstance(measure, partial) else {}
    return "reference" in inspect.signature(measure).parameters and "reference" not in bound


def _left_open(measure: Measure) -> set[str]:
    """Which of the settings that `measure` takes it is to pick itself."""
    bound = measure.keywords if isinstance(measure, partial) else {}
    parameters = inspect.signature(measure).parameters
    to_pick = {"method": ProductMethod.AUTO, "memory_limit": None}
    return {
        name
        for name, left_open in to_pick.items()
        if name in parameters and bound.get(name, left_open) == left_open
    }


def identity(problem: Problem) -> dict[str, Any]:
    """What tells a problem from others wherever it is in weight space, as JSON can hold it."""
    return {
        "num_params": problem.num_params,
        "num_examples": problem.num_examples,
        "num_classes": problem.num_classes,
        "weight_decay": problem.weight_decay,
        # The same for the same examples in any order and any batches, up to rounding.
        "data": f"{sum(float(fingerprints(b.data).sum()) for b in problem.batches):.6e}",
    }


def _state(model: nn.Module | Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All parameters and buffers by name; those that `state_dict` leaves out included."""
    if isinstance(model, Tensor):
        return {"vector": model}
    if isinstance(model, Mapping):
        return dict(model)
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


@torch.no_grad()
def _with_state(model: nn.Module | Tensor, state: Mapping[str, Tensor]) -> nn.Module | Tensor:
    model = copy.deepcopy(model)
    for name, tensor in _state(model).items():
        tensor.copy_(state[name])
    return model
