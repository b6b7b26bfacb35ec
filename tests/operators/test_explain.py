"""Every operator says how its products are computed."""

import pytest
import torch

import landscope as ls
from landscope.products import Explanation, ProductMethod
from tests.reference.networks import CASES

from .test_self_check import WrongForward, cubic

OPERATORS = [
    "Hessian",
    "GaussNewton",
    "LogitCurvature",
    "EmpiricalFisher",
    "LogitJacobian",
    "TangentKernel",
]


def problem():
    case = CASES["mlp"]
    return ls.Problem(case.model(), case.data(), loss=case.loss)


@pytest.mark.parametrize("method", ["linearized", "double_backward", ProductMethod.CACHED_GRAPH])
@pytest.mark.parametrize("name", OPERATORS)
def test_method_is_what_was_asked_for_before_and_after_a_product(name, method):
    A = getattr(ls, name)(problem(), method=method)
    assert A.method is ProductMethod(method)
    explanation = A.explain()
    assert isinstance(explanation, Explanation)
    assert A.method is explanation.method is ProductMethod(method)
    assert explanation.reason == "as asked for"
    assert explanation.gradients > 0
    assert (explanation.kept_bytes > 0) == (method == "linearized")
    assert str(explanation).startswith(f"{method} (as asked for): ")


@pytest.mark.parametrize("name", OPERATORS)
def test_auto_becomes_a_method_at_the_first_product(name):
    A = getattr(ls, name)(problem())
    assert A.method is ProductMethod.AUTO
    A @ torch.ones(A.shape[1], dtype=torch.float64)
    assert A.method is ProductMethod.CACHED_GRAPH


def test_a_tangent_kernel_costs_and_keeps_what_both_factors_do():
    J, K = (
        getattr(ls, name)(problem(), method="linearized")
        for name in ("LogitJacobian", "TangentKernel")
    )
    kept = J.explain().kept_bytes + J.explain_transpose().kept_bytes
    assert K.explain().kept_bytes == kept


@pytest.mark.filterwarnings("ignore:the fast derivative product")
def test_the_transpose_of_the_jacobian_has_a_method_of_its_own():
    """Its reverse mode is right where forward mode is not."""
    problem = ls.Problem(cubic(WrongForward), CASES["mlp"].data())
    J = ls.LogitJacobian(problem, method="forward_over_reverse")
    assert J.explain().method is ProductMethod.DOUBLE_BACKWARD
    assert "differs from double backward" in J.explain().reason
    assert J.explain_transpose().method is ProductMethod.FORWARD_OVER_REVERSE


@pytest.mark.parametrize("side_by_side", [True, False])
def test_a_block_through_the_jacobian_is_its_columns(monkeypatch, side_by_side):
    limit = float("inf") if side_by_side else 0.0
    monkeypatch.setattr("landscope.products.batch_sum.SIDE_BY_SIDE_BELOW_FLOPS", limit)
    J = ls.LogitJacobian(problem(), method="linearized")
    assert J.explain().side_by_side is side_by_side
    V = torch.randn(J.shape[1], 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(J @ V, J.to_dense() @ V, rtol=1e-10, atol=1e-12)
