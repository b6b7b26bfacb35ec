"""Every operator on every reference network against matrices written out by double backward."""

from functools import cache

import numpy as np
import pytest
import torch

import landscope as ls
from tests.reference.dense import product_error, relative_error
from tests.reference.networks import CASES, dense

OPERATORS = {
    "Hessian": "hessian",
    "GaussNewton": "gauss_newton",
    "LogitCurvature": "logit_curvature",
    "EmpiricalFisher": "empirical_fisher",
    "LogitJacobian": "jacobian",
    "TangentKernel": "tangent_kernel",
}
SYMMETRIC = [name for name in OPERATORS if name != "LogitJacobian"]
POSITIVE = ["GaussNewton", "EmpiricalFisher", "TangentKernel"]


def problem_of(name, **options):
    case = CASES[name]
    return ls.Problem(case.model(), case.data(), loss=case.loss, **options)


@cache
def operator_and_matrix(operator, name, **options):
    """An operator and its reference; shared, since keeping its primal pass takes a second."""
    return getattr(ls, operator)(problem_of(name, **options)), getattr(
        dense(name), OPERATORS[operator]
    )


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def grid_point(operator, name):
    """LogitCurvature is seldom needed: it is the difference of Hessian and GaussNewton."""
    slow = operator == "LogitCurvature" and name not in ("mlp", "mse")
    return pytest.param(operator, name, marks=[pytest.mark.slow] * slow)


@pytest.mark.parametrize(
    ("operator", "name"), [grid_point(operator, name) for operator in OPERATORS for name in CASES]
)
def test_products_on_every_network(operator, name):
    A, expected = operator_and_matrix(operator, name, batch_size=4)
    assert tuple(A.shape) == tuple(expected.shape)
    assert A.dtype == torch.float64
    assert A.device == torch.device("cpu")
    assert product_error(A, expected) < 1e-10


@pytest.mark.parametrize(
    ("operator", "name"),
    [("LogitJacobian", name) for name in CASES]
    + [("GaussNewton", name) for name in ("mlp", "lstm")]
    + [("Hessian", name) for name in ("mlp", "layer_norm")]
    + [
        pytest.param(operator, name, marks=pytest.mark.slow)
        for operator, name in (
            ("GaussNewton", "attention"),
            ("Hessian", "attention"),
            ("Hessian", "lstm"),
        )
    ],
)
def test_the_whole_matrix(operator, name):
    # So many products that the primal pass is kept, and the way of computing changes under way.
    A, expected = operator_and_matrix(operator, name)
    matrix = A.to_dense()
    assert matrix.dtype == torch.float64
    assert relative_error(matrix, expected) < 1e-10


@pytest.mark.parametrize("operator", OPERATORS)
def test_products_stay_right_however_often_they_are_taken(operator):
    A, expected = operator_and_matrix(operator, "mlp", batch_size=6)
    for seed in range(6):
        v = normal(expected.shape[1], seed=seed)
        product = A @ v
        assert product.shape == (expected.shape[0],)
        assert relative_error(product, expected @ v) < 1e-10
    assert product_error(A, expected) < 1e-10


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_block_is_its_columns(operator):
    A, expected = operator_and_matrix(operator, "mlp")
    block = normal(expected.shape[1], 2)
    product = A @ block
    assert product.shape == (expected.shape[0], 2)
    columns = torch.stack([A @ column for column in block.T], dim=1)
    assert relative_error(product, columns) < 1e-12
    assert (A @ block[:, :1]).shape == (expected.shape[0], 1)
    assert (A @ block[:, :0]).shape == (expected.shape[0], 0)


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_transpose(operator):
    A, expected = operator_and_matrix(operator, "mlp")
    u = normal(expected.shape[0])
    assert tuple(A.T.shape) == (expected.shape[1], expected.shape[0])
    assert relative_error(A.T @ u, expected.T @ u) < 1e-10
    assert relative_error(A.T.T @ (A.T @ u), expected @ (expected.T @ u)) < 1e-10


def test_the_transpose_of_the_jacobian_as_a_matrix():
    A, expected = operator_and_matrix("LogitJacobian", "conv", batch_size=4)
    assert relative_error(A.T.to_dense(), expected.T) < 1e-10


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_tags_are_true(operator):
    A, _ = operator_and_matrix(operator, "mlp")
    assert A.symmetric is (operator in SYMMETRIC)
    assert A.psd is (operator in POSITIVE)


@pytest.mark.parametrize("operator", OPERATORS)
def test_scipy_sees_the_same_map(operator):
    A, expected = operator_and_matrix(operator, "mlp")
    linear = A.to_scipy()
    assert linear.shape == tuple(expected.shape)
    assert linear.dtype == np.float64
    v, u, block = normal(expected.shape[1]), normal(expected.shape[0]), normal(expected.shape[1], 1)
    assert np.allclose(linear @ v.numpy(), (expected @ v).numpy(), rtol=0, atol=1e-10)
    assert np.allclose(linear @ block.numpy(), (expected @ block).numpy(), rtol=0, atol=1e-10)
    assert np.allclose(linear.H @ u.numpy(), (expected.T @ u).numpy(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_product_leaves_its_vector_alone(operator):
    A, expected = operator_and_matrix(operator, "mlp")
    v = normal(expected.shape[1])
    before = v.clone()
    product = A @ v
    kept = product.clone()
    A @ normal(expected.shape[1], seed=1)
    assert torch.equal(v, before)
    assert torch.equal(product, kept)
    assert not product.requires_grad


@pytest.mark.parametrize("name", CASES)
def test_the_hessian_is_the_sum_of_its_two_terms(name):
    problem = problem_of(name, weight_decay=0.2)
    v = normal(problem.num_params)
    terms = ls.GaussNewton(problem) @ v + ls.LogitCurvature(problem) @ v + 0.2 * v
    assert relative_error(terms, ls.Hessian(problem) @ v) < 1e-11


def test_rows_of_the_jacobian_run_by_example_then_by_logit():
    problem, d = problem_of("mlp"), dense("mlp")
    J = ls.LogitJacobian(problem).to_dense()
    assert relative_error(J[5 * 4 + 2], d.per_example_jacobian[5, 2]) < 1e-11


def test_padding_is_no_row_of_the_jacobian():
    d = dense("attention")
    J = ls.LogitJacobian(problem_of("attention", batch_size=1))
    assert J.shape[0] == d.num_examples * d.num_classes
    assert d.num_examples < 4 * 6
    assert relative_error(J.to_dense(), d.jacobian) < 1e-10


def test_the_empirical_fisher_is_not_the_gauss_newton_matrix():
    d = dense("mlp")
    assert relative_error(d.empirical_fisher, d.gauss_newton) > 0.1


@pytest.mark.parametrize("operator", ["Hessian", "GaussNewton", "LogitCurvature"])
def test_in_float32_a_product_is_right_to_float32(operator):
    case = CASES["layer_norm"]
    problem = ls.Problem(case.model(), case.data(), dtype=torch.float32, batch_size=4)
    A = getattr(ls, operator)(problem)
    expected = getattr(dense("layer_norm"), OPERATORS[operator])
    v = normal(problem.num_params)
    product = A @ v.float()
    assert product.dtype == torch.float32
    assert relative_error(product, expected @ v) < 1e-4
