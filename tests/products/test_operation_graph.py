"""Graphs hold what a function does with its inputs; what comes from elsewhere is constant."""

import numpy as np
import pytest
import torch
from torch import fx

from landscope.products.operation_graph import AnotherPathError, NoRuleError, trace

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
        lambda x: (x * x.max().item(),),
        lambda x: (x * x.tolist()[0],),
        lambda x: (x * float(x.detach().numpy()[0]),),
        lambda x: (x * torch.as_tensor(np.asarray(x.detach())[0]),),
        lambda x: (x if torch.rand(()) < 0.5 else -x,),
    ],
)
def test_a_fraction_that_depends_on_the_data_and_chance_are_refused(function):
    with pytest.raises(RuntimeError, match="reads a number that depends on the data"):
        trace(function, [torch.ones(3)])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x if x.sum() > 0 else -x,),
        lambda x: (x * x.argmin().item(),),
        lambda x: (x[: int(x.argmin())] * x.argmin().tolist(),),
        lambda x: (x * int(x.detach().argmin().numpy()),),
        lambda x: (x[x > 1.5],),
        lambda x: (x[(x > 1.5).nonzero()[:, 0]],),
        lambda x: (torch.stack([x[int(i)] for i in x.argsort()]),),
    ],
)
def test_a_graph_goes_no_other_way_than_the_one_that_was_traced(function):
    given = torch.tensor([3.0, 2.0, 1.0])
    graph = trace(function, [given])
    module = fx.GraphModule(graph.owning_module, graph)
    for x in (given, given + torch.tensor([0.25, 0.0, 0.1])):
        torch.testing.assert_close(module(x), function(x), rtol=0, atol=0)
    with pytest.raises(AnotherPathError, match="depends on the data"):
        module(torch.tensor([-3.0, -2.0, -1.0]))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x * x.data_ptr(),),
        lambda x: (x * x.untyped_storage().nbytes(),),
        lambda x: (x * KEPT.add_(1),),
        lambda x: (x[1:].as_strided((2,), (1,), 0),),
        lambda x: (x[::2].as_strided((2,), (1,), 0),),
    ],
)
def test_what_a_graph_cannot_hold_is_refused(function):
    with pytest.raises(NoRuleError):
        trace(function, [torch.ones(3)])
    assert torch.equal(KEPT, torch.tensor([1.0, 2.0, 3.0]))


def write_columns(x, y):
    out = torch.zeros(3, 2)
    out[:, 0] = x
    out[:, 1].add_(y).mul_(out[:, 0])
    out.transpose_(0, 1).unsqueeze_(0).squeeze_(0)
    out[0].clamp_(max=1.5)
    return out, out.t_()[x > -10]


def test_what_is_written_into_a_view_is_seen_in_the_whole():
    test_a_graph_does_what_the_function_does_with_other_numbers_too(write_columns)


def test_operations_that_nothing_depends_on_are_left_out():
    graph = trace(lambda x: (x.sin(), x.cos())[:1], [torch.ones(3)])
    assert [node.op for node in graph.nodes] == ["placeholder", "call_function", "output"]
