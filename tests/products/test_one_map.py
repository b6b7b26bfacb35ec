"""The product at one point is one map, whatever was multiplied before, ties included."""

import warnings

import pytest
import torch
from torch import nn

import landscope as ls
from landscope.products.batch_sum import BatchSum
from landscope.products.tangent_rules import RULES
from tests.products.test_tangent_rules import Function
from tests.reference.dense import relative_error

OPERATORS = ["Hessian", "GaussNewton", "LogitCurvature", "LogitJacobian"]
KINKS = {
    "relu": nn.ReLU(),
    "leaky_relu": nn.LeakyReLU(0.2),
    "relu6": nn.ReLU6(),
    "hardtanh": nn.Hardtanh(0.0, 0.5),
    "abs": Function(torch.abs),
    "clamp from below": Function(lambda x: x.clamp(min=0)),
    "clamp": Function(lambda x: x.clamp(0, 0.5)),
    "elu": nn.ELU(2.0),
    "hardswish": nn.Hardswish(),
    "masked": Function(lambda x: x * (x >= 0)),
    "max_pool": nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)),
    "max_pool of pads": nn.MaxPool2d(3, stride=2, padding=1),
    "largest": Function(lambda x: x * x.amax(1, keepdim=True)),
}


def problem_with(layer, dtype, batch_size):
    """Four ordinary images, then three whose activations lie at kinks and ties."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first = nn.Conv2d(2, 4, 3, padding=1)
        images = torch.randn(7, 2, 4, 4)
        last = nn.LazyLinear(3)
        network = nn.Sequential(first, layer, nn.Flatten(), last).to(dtype)
        with torch.no_grad():
            first.bias[:3] = torch.tensor([0.0, 0.5, 0.0])  # the bounds, where an image is zero
            first.weight[2] = first.weight[0]  # equal channels
            images[4], images[5] = 0, 1
            images[6] = images[6].round()
            network(images.to(dtype))
    return ls.Problem(network, (images.to(dtype), torch.arange(7) % 3), batch_size=batch_size)


@pytest.mark.filterwarnings("ignore:the fast derivative product")
@pytest.mark.parametrize(
    ("kink", "operator", "dtype"),
    [(kink, "Hessian", torch.float64) for kink in KINKS]
    + [pytest.param(k, "GaussNewton", torch.float64, marks=pytest.mark.slow) for k in KINKS]
    + [("max_pool", operator, torch.float32) for operator in OPERATORS],
)
def test_all_ways_take_the_same_derivative_where_there_are_several(kink, operator, dtype):
    """Reverse mode's: a choice of another one differs by much more than rounding."""
    allowed = 1e-11 if dtype == torch.float64 else 1e-5
    problem = problem_with(KINKS[kink], dtype, batch_size=3)
    V = torch.randn(problem.num_params, 2, dtype=dtype, generator=torch.Generator().manual_seed(1))
    expected, *others = (
        getattr(ls, operator)(problem, method=method, self_check=False) @ V
        for method in ("double_backward", "linearized", "forward_over_reverse")
    )
    for product in others:
        assert relative_error(product, expected) < allowed


@pytest.fixture
def traced_after_three(monkeypatch):
    """Graphs pay after the third product."""
    monkeypatch.setattr("landscope.products.batch_sum.EXPECTED_PRODUCTS", 1)

    def at(problem):
        flops = BatchSum(problem, None, self_check=False)._total_flops  # of a pass forward
        monkeypatch.setattr("landscope.products.batch_sum.TRACE_AFTER_FLOPS", 3.5 * 3 * flops)
        return problem

    return at


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_way_is_changed_for_one_that_gives_the_same_product(traced_after_three, operator):
    problem = traced_after_three(problem_with(nn.ReLU(), torch.float64, batch_size=3))
    A = getattr(ls, operator)(problem)
    v = torch.ones(A.shape[1], dtype=torch.float64)
    products = [A @ v for _ in range(2)]
    assert A.method == "cached_graph"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        products += [A @ v for _ in range(3)]
    assert A.method == "linearized"
    assert max(relative_error(product, products[0]) for product in products) < 1e-11


@pytest.mark.parametrize("self_check", [True, False])
def test_a_way_is_kept_where_the_faster_one_is_another_map(
    traced_after_three, monkeypatch, self_check
):
    tanh = torch.ops.aten.tanh.default
    right = RULES[tanh]
    monkeypatch.setitem(RULES, tanh, lambda *given: right(*given) * (1 + 1e-9))
    problem = traced_after_three(problem_with(nn.Tanh(), torch.float64, batch_size=3))
    H = ls.Hessian(problem, self_check=self_check)
    v = torch.ones(problem.num_params, dtype=torch.float64)
    first = H @ v
    with pytest.warns(UserWarning, match="stay cached_graph, .* linearized, .* differs by"):
        later = H @ torch.stack([v, v, v], 1)
    assert relative_error(later[:, 2], first) < 1e-12
    linearized = ls.Hessian(problem, method="linearized", self_check=False) @ v
    assert relative_error(linearized, first) > 1e-11
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        assert relative_error(H @ v, first) < 1e-12
    assert H.method == "cached_graph"


def test_what_an_algorithm_announces_decides_before_its_first_product(traced_after_three):
    problem = traced_after_three(problem_with(nn.ReLU(), torch.float32, batch_size=3))
    G = ls.GaussNewton(problem)
    v = torch.ones(problem.num_params)
    basis = torch.linalg.qr(torch.randn(len(v), 5, generator=torch.Generator().manual_seed(0))).Q
    wrapped = {
        "itself": lambda A: A,
        "difference": lambda A: A - G,
        "preconditioned": lambda A: ls.Preconditioned(A, 1 + v),
        "projected": lambda A: ls.Projected(A, basis),
    }
    for name, wrap in wrapped.items():
        A = ls.Hessian(problem)
        ls.trace(wrap(A), num_probes=8)
        assert A.method == "linearized", name
        assert "it pays for many products" in A._sum._reason
    K = ls.TangentKernel(problem)
    K.to_scipy() @ torch.ones(K.shape[1]).numpy()
    assert K.method == "linearized"


def test_operators_of_one_problem_and_of_the_same_at_other_weights_are_one_map(traced_after_three):
    """They share graphs, not what the graphs were run with."""
    problem = traced_after_three(problem_with(nn.ReLU(), torch.float64, batch_size=3))
    v = torch.ones(problem.num_params, dtype=torch.float64)
    H, later = ls.Hessian(problem), ls.Hessian(problem)
    expected = H @ v
    other = ls.Hessian(problem.at(2 * problem.weights), method="linearized")
    moved = ls.Hessian(problem.at(2 * problem.weights), method="double_backward") @ v
    assert relative_error(other @ v, moved) < 1e-11
    later.expect(100)
    assert relative_error(later @ v, expected) < 1e-11
    assert (H.method, later.method) == ("cached_graph", "linearized")
    block = later @ torch.stack([v, 2 * v], 1)
    assert relative_error(block @ v.new_tensor([3, -1]), expected) < 1e-11
