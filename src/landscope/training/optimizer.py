"""Optimisers by name, their state as tensors and JSON instead of a pickle."""

import json
from collections.abc import Iterable, Mapping

from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from landscope.training.config import TrainConfig


def make_optimizer(config: TrainConfig, parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Build the optimiser that the configuration names; its learning rate is set at each step."""
    match config.optimizer:
        case "sgd":
            return SGD(
                parameters,
                lr=config.learning_rate,
                momentum=config.momentum,
                weight_decay=config.weight_decay,
            )
        case "adam":
            return Adam(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)


def optimizer_state(optimizer: Optimizer) -> tuple[dict[str, Tensor], str]:
    """Split the state of an optimiser into named tensors and a JSON text of all else.

    Returns
    -------
    tensors : dict
        Named "INDEX.KEY", with the position of the parameter and the optimiser's own key.
    rest : str
        JSON of the entries that are no tensors, named alike.
    """
    entries = {
        f"{index}.{key}": value
        for index, state in optimizer.state_dict()["state"].items()
        for key, value in state.items()
    }
    tensors = {name: value for name, value in entries.items() if isinstance(value, Tensor)}
    rest = {name: value for name, value in entries.items() if name not in tensors}
    return tensors, json.dumps(rest)


def load_optimizer_state(optimizer: Optimizer, tensors: Mapping[str, Tensor], rest: str) -> None:
    """Put back what `optimizer_state` gave."""
    state: dict[int, dict[str, object]] = {}
    for name, value in {**tensors, **json.loads(rest)}.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
