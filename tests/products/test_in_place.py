"""Results are written over intermediate ones only: never over what is kept or given."""

import operator

import pytest
import torch
from torch import Tensor, fx, nn

import landscope as ls
from landscope.products.in_place import computed_in_place

aten = torch.ops.aten


def graph_of(function) -> fx.Graph:
    return fx.symbolic_trace(function).graph


def targets(module: fx.GraphModule) -> list:
    return [node.target for node in module.graph.nodes if node.op == "call_function"]


def test_a_sum_of_matrix_products_is_added_up_in_one_place():
    graph = graph_of(lambda a, b, c, d: aten.mm.default(a, b) + aten.mm.default(c, d))
    a, b, c, d = (torch.randn(4, 4, dtype=torch.float64) for _ in range(4))
    module = computed_in_place(graph, [a, b, c, d])
    assert targets(module) == [aten.mm.default, Tensor.addmm_]
    torch.testing.assert_close(module(a, b, c, d), a @ b + c @ d)


def test_inputs_and_shared_terms_are_left_alone():
    def function(x, y):
        shared = x * y
        return shared + x, shared + y, x + y, x * 2.0 + shared

    x, y = torch.randn(3, 5), torch.randn(3, 5)
    given = x.clone(), y.clone()
    module = computed_in_place(graph_of(function), [x, y])
    for found, expected in zip(module(x, y), function(x, y), strict=True):
        torch.testing.assert_close(found, expected)
    assert torch.equal(x, given[0])
    assert torch.equal(y, given[1])


def test_a_view_of_an_input_is_not_written_over():
    graph = graph_of(lambda x, y: x.reshape(-1) + y)
    x, y = torch.ones(2, 3), torch.ones(6)
    module = computed_in_place(graph, [x, y])
    module(x, y)
    assert torch.equal(x, torch.ones(2, 3))


def test_a_smaller_term_does_not_take_the_sum():
    graph = graph_of(lambda x, y: (x * x) + y)
    row, matrix = torch.randn(1, 3), torch.randn(4, 3)
    module = computed_in_place(graph, [row, matrix])
    torch.testing.assert_close(module(row, matrix), row * row + matrix)


def test_a_term_twice():
    graph = graph_of(lambda x: operator.add(-x, -x))
    module = computed_in_place(graph, [torch.ones(3)])
    assert torch.equal(module(torch.ones(3)), torch.full((3,), -2.0))


@pytest.mark.parametrize("operator_of", [ls.Hessian, ls.GaussNewton])
def test_products_repeat_themselves_and_change_nothing(operator_of):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.GELU(), nn.Flatten(),
        nn.Linear(4 * 36, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 3),
    ).double()  # fmt: skip
    data = torch.randn(6, 1, 6, 6, dtype=torch.float64), torch.arange(6) % 3
    A = operator_of(ls.Problem(model, data), method="linearized")
    v = torch.randn(A.shape[1], dtype=torch.float64)
    given, first = v.clone(), A @ v
    kept = [tensor.clone() for piece in A._sum._traced for tensor in piece.kept]
    second = A @ v
    assert torch.equal(first, second)
    assert torch.equal(v, given)
    for piece in A._sum._traced:
        for tensor in piece.kept:
            assert torch.equal(tensor, kept.pop(0))
