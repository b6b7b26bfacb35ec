"""Measurements taken along any training loop."""

import inspect
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import xarray as xr
from torch import Tensor, nn

from landscope import geometry
from landscope.arguments import flag, number_in, shown, whole
from landscope.geometry.definitions import DEFINITIONS
from landscope.hyperplanes import HyperplaneModel
from landscope.problem import Problem, checked_problem
from landscope.products import ProductMethod
from landscope.runs import Run
from landscope.system.interruption import uncovering_interrupts
from landscope.training.batch_norm import with_statistics
from landscope.training.measured_by import measured_by
from landscope.training.overhead import Overhead, OverheadWarning
from landscope.training.random_state import preserved_random_state
from landscope.training.schedule import Schedule, as_predicate
from landscope.training.summary import summarize

KEPT_BYTES = 2**30
"""Eigenvectors up to this size are kept in the run, so that a resumed one starts from the same."""

LAST_STEP = 2**62
"""Steps are kept in 64 bits."""

MEASURED_NAMES = {"step", *DEFINITIONS}.union(*(one.dims for one in DEFINITIONS.values()))
"""Variables and dimensions of a snapshot."""

LOOP_SCALARS = ("learning_rate",)
"""What the loop knows as well as the optimiser that is measured."""
_PRECONDITIONED = "preconditioned_hessian"
"""The name under which its top eigenvector is kept."""

Measure = Callable[..., xr.Dataset]
Point = nn.Module | Tensor | Mapping[str, Tensor]
"""A model, a point (D,) of weight space, or parameters and buffers by name."""


class Tracker(Protocol):
    """Where measurements are shown beside the run folder, such as a dashboard."""

    def log(self, step: int, snapshot: xr.Dataset) -> None:
        """Show what was measured at `step`."""

    def close(self) -> None:
        """Finish what was begun."""


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
        The path of its folder, made where absent: it belongs to one problem and one `measure`, and
        another one is refused. Or a Run, which has a configuration of its own. Of no account but on
        rank 0.
    schedule
        Which steps to measure: a collection of steps, an int n (every n steps), or a function
        step → bool.
    measure
        A function problem → Dataset; `landscope.measure` if absent. Bind its options with
        `functools.partial`. If it takes a keyword `reference`, it is given the first problem
        recorded, from which drifts are measured, also after a resume. If it takes `method` or
        `memory_limit` and they are left open, what the first measurement picked and wrote into its
        snapshot holds for all of the run.
    optimizer
        The optimiser of the loop: each snapshot then has its learning rate and how far it is from
        the edge of stability, see `landscope.stability`.
    max_overhead
        Largest share of the loop's time that measuring may take, such as 0.1. Scheduled steps that
        cannot be afforded are left out: they are in `skipped`, in `summary.json` and in a warning
        at the end. The first measurement is always made; training pays for it before the second.
    warm_start
        Start each search for eigenpairs from the eigenvectors of the measurement before, if
        `measure` takes `eigenvectors`. It saves products where few updates lie between two
        measurements, and results then depend, within their tolerance, on what was measured before.
    trackers
        Where each snapshot is shown besides, once it is kept in the run.

    Attributes
    ----------
    run : Run
        The run; None but on rank 0 of several processes.
    skipped : list of int
        Scheduled steps that `max_overhead` left out.

    Raises
    ------
    TypeError, ValueError
        If `schedule` is none of these, `max_overhead` is no share, or the run belongs to another
        problem (another `Problem.fingerprint` but for the weights) or another `measure`.

    Warns
    -----
    OverheadWarning
        At the end, if `max_overhead` left out scheduled steps.

    Notes
    -----
    Where the problem has a `group`, all its processes make a Recorder and call `step` alike; rank 0
    keeps the run (``run`` is None on the others), looks at its clock, and shows the trackers.

    BatchNorm layers that have seen no batch have empty statistics; they are measured with those of
    one pass over the problem's data, on a copy of the model.

    Examples
    --------
    >>> import tempfile, torch
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
        run: Run | str | Path | None,
        schedule: Schedule,
        measure: Measure | None = None,
        *,
        optimizer: Any = None,
        max_overhead: float | None = None,
        warm_start: bool = False,
        trackers: Collection[Tracker] = (),
    ) -> None:
        self._overhead = Overhead(max_overhead)
        self._scheduled = as_predicate(schedule)
        self.problem = checked_problem(problem)
        if optimizer is not None:
            geometry.readable(optimizer)
        if measure is not None and not callable(measure):
            raise TypeError(f"measure is {shown(measure)}; it must be a function problem → Dataset")
        self._measure = measure or geometry.measure
        self._takes = _free_keywords(self._measure)
        self._warm_start = flag("warm_start", warm_start) and "eigenvectors" in self._takes
        trackers = _checked_trackers(trackers)
        about = {
            "problem": problem.identity(weights=False),
            "measure": measured_by(self._measure),
            "warm_start": self._warm_start,
        }
        with problem.together():
            self.run = _opened(run, about) if problem.leads else None
        self._opened_here = not isinstance(run, Run)
        self.skipped: list[int] = self._of_run(_skipped)
        self._optimizer = optimizer
        self._trackers = trackers if problem.leads else ()
        self._measured: set[int] = set(self._of_run(Run.steps))
        self._reference: Problem | None = None
        self._eigenvectors = self._of_run(Run.eigenvectors) if self._warm_start else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write `summary.json`, close the trackers and the run, and say what was left out."""
        if self._measured and self.run:
            self.run.write_summary(summarize(self.run) | {"skipped": self.skipped})
        for tracker in self._trackers:
            _unless_it_fails(tracker.close)
        if self.run and self._opened_here:
            self.run.close()
        if self.run and self.skipped and self._overhead.most is not None:
            shown = ", ".join(map(str, self.skipped[:5])) + ", …" * (len(self.skipped) > 5)
            warnings.warn(
                f"{len(self.skipped)} scheduled steps were not measured, to keep measuring at "
                f"{self._overhead.most:.0%} of the time (it took {self._overhead.share:.1%}): "
                f"{shown}",
                OverheadWarning,
                stacklevel=3,
            )

    @property
    def overhead(self) -> float:
        """Share of the time since the Recorder was made that was spent measuring."""
        return self._overhead.share

    def due(self, step: int) -> bool:
        """Tell whether `step` is scheduled, not yet in the run, and can be afforded."""
        return self._wanted(step) and self._affordable()

    def step(
        self,
        model: Point,
        step: int,
        scalars: Mapping[str, float | xr.DataArray] | None = None,
    ) -> None:
        """Measure if `step` is due.

        Parameters
        ----------
        model
            The network being trained, the model of a hyperplane, a point (D,) of weight space, or
            parameters and buffers by name, such as a ``state_dict``.
        step
            Updates made so far.
        scalars
            Numbers to keep beside the measurements, such as the learning rate; a DataArray brings
            its attributes along.
        """
        step = whole("step", step, 0, LAST_STEP)
        if scalars is not None:
            _check_scalars(scalars)
        if not self._wanted(step):
            return
        if not self._affordable():
            if step not in self.skipped:
                self.skipped.append(step)
            return
        try:
            with (
                uncovering_interrupts(),
                self._overhead.measuring(),
                preserved_random_state(),
            ):
                snapshot = self._snapshot(model).assign(scalars or {})
                if self.run:
                    self._keep(self.run, step, snapshot)
                for tracker in self._trackers:
                    _unless_it_fails(tracker.log, step, snapshot)
        except Exception as error:
            kept = f"; earlier steps are kept in {self.run.path}" if self.run else ""
            error.add_note(f"while measuring step {step}{kept}")
            raise
        self._measured.add(step)
        self.skipped = [skipped for skipped in self.skipped if skipped != step]

    def _keep(self, run: Run, step: int, snapshot: xr.Dataset) -> None:
        if sum(block.nbytes for block in self._eigenvectors.values()) <= KEPT_BYTES:
            run.write_eigenvectors(step, self._eigenvectors)
        run.write_snapshot(step, snapshot)

    def _of_run(self, read: Callable[[Run], Any]) -> Any:
        """What the run holds, as rank 0 reads it for all."""
        return self.problem.agreed(lambda: read(self.run))  # type: ignore[arg-type]

    def _affordable(self) -> bool:
        return self._overhead.most is None or self.problem.agreed(self._overhead.affordable)

    def _wanted(self, step: int) -> bool:
        return step not in self._measured and self._scheduled(step)

    def _snapshot(self, model: Point) -> xr.Dataset:
        here = with_statistics(
            self.problem.at(model.merged() if isinstance(model, HyperplaneModel) else model)
        )
        if self._optimizer is not None:  # one that cannot be read is refused before all the work
            geometry.update_rule(here, model, self._optimizer)  # type: ignore[arg-type]
        options = self._picked
        if "reference" in self._takes:
            self._reference = self._reference or self._first_recorded(here)
            options["reference"] = self._reference
        if self._warm_start:
            options["eigenvectors"] = self._eigenvectors
        snapshot = self._measure(here, **options)
        return snapshot if self._optimizer is None else self._with_stability(snapshot, here, model)

    def _with_stability(self, snapshot: xr.Dataset, here: Problem, model: Point) -> xr.Dataset:
        """Add how far the optimiser is from the edge of its stability."""
        eigenvalues = snapshot.get("hessian_eigenvalues")
        found = geometry.stability(
            here,
            model,  # type: ignore[arg-type]  # a bare vector has been refused
            self._optimizer,
            sharpness=None if eigenvalues is None else float(eigenvalues[0]),
            v0=self._eigenvectors.get(_PRECONDITIONED),
        )
        if self._warm_start and found.vector is not None:
            self._eigenvectors[_PRECONDITIONED] = found.vector
        return snapshot.assign(found.variables())

    @property
    def _picked(self) -> dict[str, Any]:
        """What the first measurement of the run, in this process or before, picked for itself."""
        open_to_it = self._takes & {"method", "memory_limit"}
        if not (open_to_it and self._measured):
            return {}
        first = min(self._measured)
        known = self._of_run(lambda run: geometry.settings(run.snapshot(first)))
        return {name: value for name, value in known.items() if name in open_to_it}

    def _first_recorded(self, here: Problem) -> Problem:
        """Rebuild the problem that was recorded first, or let it be this one."""
        stored = self._of_run(Run.reference)
        if stored is None:
            if self._measured:
                raise ValueError(
                    f"run has no reference.safetensors, which the drifts at its "
                    f"{len(self._measured)} measured steps are measured from; restore it, or name "
                    "another folder"
                )
            if self.run:
                self.run.write_reference(here.state())
            return here
        return self.problem.at(stored)


def _opened(run: Run | str | Path | None, about: dict[str, Any]) -> Run:
    if run is None:
        raise TypeError("run is None; it must be a Run or the path of its folder")
    return run if isinstance(run, Run) else Run.create(run, about)


def _checked_trackers(trackers: Any) -> tuple[Tracker, ...]:
    """Trackers, each of which can be told of a snapshot and closed."""
    given = tuple(trackers) if isinstance(trackers, Iterable) else (trackers,)
    for tracker in given:
        if not (callable(getattr(tracker, "log", None)) and hasattr(tracker, "close")):
            raise TypeError(
                f"trackers holds {shown(tracker)}; each must have log(step, snapshot) and close()"
            )
    return given


def _check_scalars(scalars: Mapping[str, float | xr.DataArray]) -> None:
    """Refuse what no snapshot can hold, or would hold in the place of what is measured."""
    if not isinstance(scalars, Mapping):
        raise TypeError(f"scalars is {shown(scalars)}; it must map names to numbers")
    for name, value in scalars.items():
        if not isinstance(name, str) or not re.fullmatch(r"\w[\w.+@ -]*", name) or name[-1] == " ":
            raise ValueError(
                f"scalars has the name {shown(name)}; accepted are letters, digits and _ . + @ - "
                "within, as in names of variables of NetCDF"
            )
        if name.removesuffix("_stderr") in MEASURED_NAMES and name not in LOOP_SCALARS:
            raise ValueError(
                f"scalars has the name {name!r}, under which the snapshot has what is measured; "
                "choose another"
            )
        of_numbers = isinstance(value, xr.DataArray) and value.dtype.kind in "fiub"
        if not of_numbers and number_in(value) is None:
            raise ValueError(f"scalars has {shown(value)} under {name!r}; it must be a number")


def _skipped(run: Run) -> list[int]:
    return list((run.summary() or {}).get("skipped", ()))


def _free_keywords(measure: Measure) -> set[str]:
    """Keywords that `measure` takes and that nobody has set; AUTO and None set nothing."""
    bound = measure.keywords if isinstance(measure, partial) else {}
    return {
        name
        for name in inspect.signature(measure).parameters
        if bound.get(name) in (None, ProductMethod.AUTO)
    }


def _unless_it_fails(act: Callable[..., None], *arguments: Any) -> None:
    """What is shown elsewhere must not end the training: a failure is a warning."""
    try:
        act(*arguments)
    except Exception as failure:
        warnings.warn(
            f"{type(act.__self__).__name__}.{act.__name__} failed: {failure}; the run folder has "  # type: ignore[attr-defined]
            "what was measured",
            stacklevel=4,
        )
