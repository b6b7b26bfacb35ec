"""What to measure, named in a file or by a function: a Problem from a target."""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from torch.distributed import ProcessGroup

from landscope.experiments.config_file import read_config
from landscope.experiments.point_config import PointConfig
from landscope.problem import Problem
from landscope.problem.checks import checked_device
from landscope.runs import read_weights
from landscope.training import MeasureConfig
from landscope.zoo import load_dataset, make_network


@dataclass(frozen=True)
class Target:
    """What a target names.

    Attributes
    ----------
    problem : Problem
        The point to measure.
    description : dict
        What makes this target this target, as JSON can hold it.
    measure : MeasureConfig
        How to measure it.
    make_test : callable, optional
        Makes `test`, where a file names a data set and trains on it.
    checkpoints : Path, optional
        A folder of weights to follow, where a file names one.
    """

    problem: Problem
    description: dict[str, Any]
    measure: MeasureConfig
    make_test: Callable[[], Problem] | None = None
    checkpoints: Path | None = None

    @cached_property
    def test(self) -> Problem | None:
        """The same on test data, read when it is first asked for; None where there are none."""
        return None if self.make_test is None else self.make_test()

    def one_point(self) -> Problem:
        """The point to measure, for what is about one point.

        Raises
        ------
        ValueError
            If the target is a folder of checkpoints.
        """
        if self.checkpoints is not None:
            raise ValueError(
                f"TARGET names checkpoints, {self.checkpoints}, which landscope measure follows; "
                "this is about one point: name one of them as weights"
            )
        return self.problem


def resolve_target(
    target: str,
    *,
    seed: int = 0,
    device: str | None = None,
    data_root: str | Path | None = None,
    trust: bool = False,
    group: ProcessGroup | None = None,
) -> Target:
    """Return the Problem that `target` names.

    Parameters
    ----------
    target : str
        A YAML or JSON file in the form of `PointConfig`, or "package.module:function", a function
        that returns a Problem. It is called with those of the keywords `seed`, `device` and
        `data_root` that it has.
    seed : int
        Seed of the initial weights and of the choice of examples.
    device : str, optional
        Where to compute.
    data_root : path, optional
        Folder of the data files.
    trust : bool
        Unpickle the weights that a file names, should they be more than plain weights.
    group : torch.distributed.ProcessGroup, optional
        Processes that all name this target: its data are split over them.

    Returns
    -------
    Target

    Raises
    ------
    ValueError, FileNotFoundError, ImportError, TypeError
        If there is no such target, or it is no Problem.
    """
    found = _resolved(target, trust, seed=seed, device=device, data_root=data_root)
    if group is None or found.problem.ranks:  # a function may split its data itself
        return found
    return replace(found, problem=found.problem.across(group))


def _resolved(target: str, trust: bool, **options: Any) -> Target:
    if Path(target).suffix in {".yaml", ".yml", ".json"}:
        return _from_file(Path(target), trust=trust, **options)
    if ":" in target:
        return Target(_from_function(target, **options), {"function": target}, MeasureConfig())
    raise ValueError(
        f"TARGET {target!r} is neither a configuration file (.yaml, .yml, .json) nor "
        "package.module:function"
    )


def at_weights(problem: Problem, path: Path, trust: bool = False) -> Problem:
    """The same problem at the weights of a file.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file cannot be read, see `landscope.runs.read_weights`, or is of another
        architecture.
    """
    named = read_weights(path, trust, problem.state())
    try:
        return problem.at(named)
    except ValueError as error:
        reason = str(error).removeprefix("where is of another architecture: ")
        raise ValueError(f"weights {path} do not fit the network: {reason}") from None


def _from_file(path: Path, *, trust: bool, **options: Any) -> Target:
    config = read_config(path, PointConfig)
    weights = config.weights and path.parent / config.weights
    make_test: Callable[[], Problem] | None = None
    if config.problem is None:
        problem, make_test = _from_zoo(config, **options)
    else:
        problem = _from_function(config.problem, **options)

    def placed(problem: Problem) -> Problem:
        return at_weights(problem, weights, trust) if weights else problem

    return Target(
        placed(problem),
        {"file": config.model_dump(mode="json")},
        config.measure,
        make_test and (lambda: placed(make_test())),
        config.checkpoints and path.parent / config.checkpoints,
    )


def _from_zoo(
    config: PointConfig, *, seed: int, device: str | None, data_root: str | Path | None
) -> tuple[Problem, Callable[[], Problem] | None]:
    """The problem, and what makes the same on test data."""
    data = load_dataset(
        config.data.name,
        data_root,
        classes=config.data.classes,
        max_examples=config.data.max_examples,
        max_test_examples=config.data.max_examples,
        seed=seed,
    )
    model = make_network(
        config.network.name,
        data.input_shape,
        data.num_classes,
        nonlinearity=config.network.nonlinearity,
        normalization=config.network.normalization,
        width=config.network.width,
        seed=seed,
    ).eval()
    problem_on = partial(Problem, model, loss=config.loss, device=device)
    trains = config.data.split == "train"
    return (
        problem_on(data.train if trains else data.test),
        partial(problem_on, data.test) if trains else None,
    )


def _from_function(target: str, *, device: str | None, **options: Any) -> Problem:
    function = _import_function(target)
    accepted = inspect.signature(function).parameters
    wanted = None if device is None else checked_device(device)
    if device is not None:
        options["device"] = device
    with _without_exit(target, "was called"):
        problem = function(**{name: value for name, value in options.items() if name in accepted})
    if not isinstance(problem, Problem):
        raise TypeError(
            f"{target} returned a {type(problem).__name__}; it must return a landscope.Problem"
        )
    if wanted not in (None, problem.device):
        raise ValueError(
            f"device={device!r} was not heeded: the Problem of {target} is on {problem.device}; "
            "give the function a parameter `device`, and the Problem that device"
        )
    return problem


@contextmanager
def _without_exit(target: str, when: str) -> Iterator[None]:
    """Name the code of the user's that would end the process, without a word."""
    try:
        yield
    except SystemExit as error:
        raise RuntimeError(
            f"TARGET {target!r} used sys.exit({error.code!r}) when it {when}; keep what belongs to "
            'a script behind if __name__ == "__main__"'
        ) from error


def _import_function(target: str) -> Any:
    module_name, _, name = target.partition(":")
    # As `python -m` does: modules in the current folder can be named.
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        with _without_exit(target, "was imported"):
            function = getattr(importlib.import_module(module_name), name, None)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"TARGET {target!r}: {error}; looked in the current folder and in what is installed"
        ) from error
    if not callable(function):
        raise ImportError(f"TARGET {target!r}: module {module_name} has no function {name!r}")
    return function
