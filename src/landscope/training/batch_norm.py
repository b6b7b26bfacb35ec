"""Statistics for BatchNorm layers that have not seen any data yet."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_map

from landscope.problem import Problem
from landscope.problem.forward import Forward, default_forward
from landscope.problem.network import floating_to


def with_statistics(problem: Problem) -> Problem:
    """Give the problem with BatchNorm statistics that are not empty.

    Parameters
    ----------
    problem
        Layers that have seen no batch at its point get the statistics of one pass over its data;
        a problem without such layers, or with batch statistics, is given back as it is.
    """
    if problem.module is None or problem.batch_statistics:
        return problem
    if not has_empty_statistics(problem.module, problem.state()):
        return problem
    model = copy.deepcopy(problem.module).to(problem.device, problem.dtype)
    model.load_state_dict(problem.state(), strict=False)
    return problem.at(
        calibrated(model, (b.data for b in problem.gathered().batches), problem.forward)
    )


def has_empty_statistics(model: nn.Module, state: Mapping[str, Tensor] | None = None) -> bool:
    """Tell whether a BatchNorm layer's running statistics are still empty.

    Parameters
    ----------
    model
        The network.
    state
        Its parameters and buffers; its own if absent.
    """
    state = dict(model.named_buffers()) if state is None else state
    counts = (
        state.get(f"{name}.num_batches_tracked".removeprefix("."))
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm)
    )
    return any(count is not None and count == 0 for count in counts)


@torch.no_grad()
def calibrated(
    model: nn.Module, batches: Iterable[Any], forward: Forward = default_forward
) -> nn.Module:
    """Give a copy of `model` whose empty BatchNorm statistics come from one pass over `batches`.

    Only layers that have seen no batch change: their mean and variance become the plain averages
    of the batches' own, each batch normalised by itself. All other modules keep their mode.

    Parameters
    ----------
    model
        Not changed.
    batches
        Batches as `forward` takes them.
    forward
        Applied as ``forward(model, batch)``.

    Returns
    -------
    nn.Module
        The copy, each module in the mode it was in.

    Examples
    --------
    >>> layer = nn.BatchNorm1d(1).eval()
    >>> inputs = torch.tensor([[1.0], [3.0]])
    >>> copy = calibrated(layer, [(inputs, torch.zeros(2))])
    >>> copy.running_mean, copy.running_var, layer.running_mean
    (tensor([2.]), tensor([2.]), tensor([0.]))
    """
    model = copy.deepcopy(model)
    layers = _empty_layers(model)
    modes = {module: module.training for module in model.modules()}
    momenta = [layer.momentum for layer in layers]
    model.eval()
    for layer in layers:
        layer.train()
        layer.momentum = None  # a cumulative average
    home = next(model.parameters())
    for batch in batches:
        forward(model, tree_map(lambda x: floating_to(x, home.device, home.dtype), batch))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    for module, mode in modes.items():
        module.training = mode
    return model


def _empty_layers(model: nn.Module) -> list[_BatchNorm]:
    return [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm)
        and module.num_batches_tracked is not None
        and module.num_batches_tracked == 0
    ]
