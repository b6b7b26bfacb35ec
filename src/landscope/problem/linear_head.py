"""The linear layer that gives the logits, apart from the features that it takes.

With a vocabulary of 50,000 the logits of a batch are its largest array by far. Where they come
straight from a linear layer, z = h Wᵀ + b, all that is needed of them can be had from the features
h, some rows at a time.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landscope.problem.problem import Problem

LARGE_OUTPUT = 4 * 2**20
"""Bytes of one example's logits beyond which they are not to be built whole."""


@dataclass(frozen=True)
class LinearHead:
    """The last layer.

    Attributes
    ----------
    layer : nn.Linear
        The module.
    weight, bias : str or None
        Names of W (C, h) and b (C,) in the state of the model; None for no bias.
    """

    layer: nn.Linear
    weight: str
    bias: str | None


def large_head(problem: Problem) -> LinearHead | None:
    """The linear layer whose output the logits are, if they are large; else None.

    Parameters
    ----------
    problem : Problem
        Of any model.
    """
    rows = max(batch.rows_per_example for batch in problem.batches)
    if rows * problem.num_classes * problem.dtype.itemsize <= LARGE_OUTPUT:
        return None
    if "head" not in problem.graphs:
        problem.graphs["head"] = linear_head(problem)
    return problem.graphs["head"]


def linear_head(problem: Problem) -> LinearHead | None:
    """The linear layer whose output the logits are; None where there is no such layer.

    Parameters
    ----------
    problem : Problem
        Of any model.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3))
    >>> linear_head(ls.Problem(model, (torch.ones(5, 2), torch.arange(5) % 3))).weight
    '2.weight'
    """
    if problem.module is None:
        return None
    names = {id(value): name for name, value in problem.module.named_parameters()}
    for layer in problem.module.modules():
        if not isinstance(layer, nn.Linear) or layer.out_features != problem.num_classes:
            continue
        if _gives_the_logits(problem, layer):
            return LinearHead(layer, names[id(layer.weight)], names.get(id(layer.bias)))
    return None


@torch.no_grad()
def _gives_the_logits(problem: Problem, layer: nn.Linear) -> bool:
    """Whether the logits share the memory of this layer's output, here a single zero."""
    outputs: list[Tensor] = []

    def zeros(features: Tensor) -> Tensor:
        outputs.append(features.new_zeros(1))
        return outputs[-1].expand(*features.shape[:-1], layer.out_features)

    example = next(problem.batches[0].pieces(1))
    try:
        z = problem.with_head(layer, zeros).raw_logits(example.data)(problem.parameters_vector())
    except RuntimeError:  # written to in place
        return False
    return [x.data_ptr() for x in outputs] == [z.data_ptr()]
