"""A Recorder that opens when a trainer begins, and closes when it ends."""

import warnings
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from torch import nn
from torch.optim import Optimizer

from landscope.geometry import update_rule
from landscope.problem import Problem
from landscope.runs import Run
from landscope.training.overhead import Overhead
from landscope.training.recorder import Measure, Recorder, Tracker
from landscope.training.schedule import Schedule, as_predicate


class Recording:
    """What the callbacks of all trainers have in common.

    Parameters
    ----------
    problem, run, schedule, measure, max_overhead, trackers
        As for `landscope.Recorder`.

    Attributes
    ----------
    recorder : Recorder or None
        That of the training in progress, or of the last one.
    """

    def __init__(
        self,
        problem: Problem,
        run: Run | str | Path,
        schedule: Schedule,
        measure: Measure | None = None,
        *,
        max_overhead: float | None = None,
        trackers: Iterable[Tracker] = (),
    ) -> None:
        super().__init__()
        Overhead(max_overhead)  # what is no share is refused now, not when training begins
        self.recorder: Recorder | None = None
        self._recorder = partial(
            Recorder, problem, run, as_predicate(schedule), measure, max_overhead=max_overhead
        )
        self._problem = problem
        self._trackers = tuple(trackers)
        self._open = ExitStack()
        self._last_step = -1

    def _begin(
        self,
        model: nn.Module,
        step: int,
        optimizers: Sequence[Optimizer],
        trackers: Iterable[Tracker] = (),
    ) -> None:
        """Open the Recorder, with more trackers, and measure where training begins."""
        self._end()  # an earlier training may have failed
        recorder = self._recorder(
            optimizer=self._monitored(model, optimizers), trackers=(*self._trackers, *trackers)
        )
        self.recorder = self._open.enter_context(recorder)
        self._last_step = -1
        self._reach(model, step)

    def _monitored(self, model: nn.Module, optimizers: Sequence[Optimizer]) -> Optimizer | None:
        """The optimiser, if there is one and it can be read; training goes on where it cannot."""
        here = self._problem.at(model)
        try:
            if len(optimizers) != 1:
                raise ValueError(f"optimizers are {len(optimizers)}; accepted is one")
            update_rule(here, model, optimizers[0])
        except (TypeError, ValueError) as refusal:
            warnings.warn(f"stability is not monitored: {refusal}", stacklevel=3)
            return None
        return optimizers[0]

    def _reach(self, model: nn.Module, step: int) -> None:
        """Measure if `step` is due, once for each step however often it is told."""
        if self.recorder is not None and step > self._last_step:
            self._last_step = step
            self.recorder.step(model, step)

    def _end(self) -> None:
        self._open.close()
