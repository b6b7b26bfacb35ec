"""Graphs hold what a function does with its inputs; what comes from elsewhere is constant."""

import pytest
import torch
from torch import fx

from landscope.products.operation_graph import trace

KEPT = torch.tensor([1.0, 2.0, 3.0])


def scaled_by_a_constant(x, y):
    factor = torch.tensor(2.0)
    factor.add_(1)
    return (x * factor + y * KEPT,)


def first_derivative(x, y):
    x = x.detach().requires_grad_()
    return torch.autograd.grad((x**3 * y).sum(), x)


def changed_in_place(x, y):
    total = x * y
    total += x
    return total, None, *total.split(2)


def branch_on_a_constant(x, y):
    return (x if torch.tensor(1.0) > 0 else y,)


@pytest.mark.parametrize(
    "function", [scaled_by_a_constant, first_derivative, changed_in_place, branch_on_a_constant]
)
def test_a_graph_does_what_the_function_does_with_other_numbers_too(function):
    x = torch.ones(3)
    graph = trace(function, [x, x])  # one tensor twice: two inputs
    module = fx.GraphModule(graph.owning_module, graph)
    assert torch.equal(KEPT, torch.tensor([1.0, 2.0, 3.0]))
    for given in ((x, x), (torch.tensor([2.0, -1.0, 0.5]), torch.tensor([0.0, 1.0, 4.0]))):
        for found, expected in zip(module(*given), function(*given), strict=True):
            if expected is None:
                assert found is None
            else:
                torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x if x.sum() > 0 else -x,),
        lambda x: (x * x.max().item(),),
        lambda x: (x if torch.rand(()) < 0.5 else -x,),
    ],
)
def test_a_number_that_depends_on_the_data_or_on_chance_is_refused(function):
    with pytest.raises(RuntimeError, match="reads a number that depends on the data"):
        trace(function, [torch.ones(3)])


def test_operations_that_nothing_depends_on_are_left_out():
    graph = trace(lambda x: (x.sin(), x.cos())[:1], [torch.ones(3)])
    assert [node.op for node in graph.nodes] == ["placeholder", "call_function", "output"]
