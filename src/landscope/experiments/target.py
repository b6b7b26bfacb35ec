"""What to measure, named in a file or by a function: a Problem from a target."""

import importlib
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from landscope.problem import Problem
from landscope.runs.checkpoint import read_tensors
from landscope.training import MeasureConfig
from landscope.zoo import load_dataset, make_network

_CHECKPOINT_PREFIX = "model."


class NetworkConfig(BaseModel):
    """A network of the zoo."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="small_cnn", description="Network, by its name in the zoo.")
    nonlinearity: str = Field(default="relu", description="Elementwise nonlinearity.")
    normalization: str = Field(
        default="none", description="Normalisation before each nonlinearity."
    )
    width: PositiveFloat = Field(default=1.0, description="Multiplies the widths of the layers.")


class DataConfig(BaseModel):
    """A data set of the zoo, and which of its examples are measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="digits", description="Data set, by its name in the zoo.")
    classes: tuple[int, ...] | None = Field(default=None, description="Only these classes.")
    split: Literal["train", "test"] = Field(
        default="train", description="Which examples to measure on."
    )
    max_examples: PositiveInt = Field(default=300, description="At most so many, classes balanced.")


class PointConfig(BaseModel):
    """A configuration file of `landscope measure`.

    Examples
    --------
    >>> PointConfig.model_validate({"network": {"nonlinearity": "tanh"}}).network.name
    'small_cnn'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig = NetworkConfig()
    data: DataConfig = DataConfig()
    weights: Path | None = Field(
        default=None,
        description="safetensors file, relative to the configuration file; a checkpoint of a run "
        "will do. Without it the network is measured at its initialisation.",
    )
    loss: Literal["cross_entropy", "mse"] = "cross_entropy"
    measure: MeasureConfig = MeasureConfig()


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
    """

    problem: Problem
    description: dict[str, Any]
    measure: MeasureConfig
    make_test: Callable[[], Problem] | None = None

    @cached_property
    def test(self) -> Problem | None:
        """The same on test data, read when it is first asked for; None where there are none."""
        return None if self.make_test is None else self.make_test()


def resolve_target(
    target: str,
    *,
    seed: int = 0,
    device: str | None = None,
    data_root: str | Path | None = None,
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

    Returns
    -------
    Target

    Raises
    ------
    ValueError, FileNotFoundError, ImportError, TypeError
        If there is no such target, or it is no Problem.
    """
    options: dict[str, Any] = {"seed": seed, "device": device, "data_root": data_root}
    if Path(target).suffix in {".yaml", ".yml", ".json"}:
        return _from_file(Path(target), **options)
    if ":" in target:
        return _from_function(target, **options)
    raise ValueError(
        f"TARGET {target!r} is neither a configuration file (.yaml, .yml, .json) nor "
        "package.module:function"
    )


def _from_file(
    path: Path, *, seed: int, device: str | None, data_root: str | Path | None
) -> Target:
    config = PointConfig.model_validate(_read(path))
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
    if config.weights is not None:
        _load_weights(model, path.parent / config.weights)
    problem_on = partial(Problem, model, loss=config.loss, device=device)
    trains = config.data.split == "train"
    return Target(
        problem_on(data.train if trains else data.test),
        {"file": config.model_dump(mode="json")},
        config.measure,
        partial(problem_on, data.test) if trains else None,
    )


def _read(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"TARGET {path} does not exist")
    text = path.read_text(encoding="utf-8")
    try:
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"TARGET {path} cannot be read: {error}") from None
    return {} if content is None else content


def _load_weights(model: nn.Module, path: Path) -> None:
    """Load a state dict, or the part of a training checkpoint that is the model's."""
    if not path.is_file():
        raise FileNotFoundError(f"weights {path} do not exist")
    tensors, _ = read_tensors(path)
    state: dict[str, Tensor] = {
        name.removeprefix(_CHECKPOINT_PREFIX): tensor
        for name, tensor in tensors.items()
        if name.startswith(_CHECKPOINT_PREFIX)
    }
    try:
        model.load_state_dict(state or tensors)
    except RuntimeError as error:
        raise ValueError(f"weights {path} do not fit the network: {error}") from None


def _from_function(target: str, *, device: str | None, **options: Any) -> Target:
    function = _import_function(target)
    accepted = inspect.signature(function).parameters
    if device is not None and "device" not in accepted:
        raise ValueError(
            f"device={device!r} cannot be passed on: {target} has no parameter `device`"
        )
    if device is not None:
        options["device"] = device
    problem = function(**{name: value for name, value in options.items() if name in accepted})
    if not isinstance(problem, Problem):
        raise TypeError(
            f"{target} returned a {type(problem).__name__}; it must return a landscope.Problem"
        )
    return Target(problem, {"function": target}, MeasureConfig())


def _import_function(target: str) -> Any:
    module_name, _, name = target.partition(":")
    # As `python -m` does: modules in the current folder can be named.
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        function = getattr(importlib.import_module(module_name), name, None)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"TARGET {target!r}: {error}; looked in the current folder and in what is installed"
        ) from error
    if not callable(function):
        raise ImportError(f"TARGET {target!r}: module {module_name} has no function {name!r}")
    return function
