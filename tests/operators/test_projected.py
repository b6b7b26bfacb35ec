"""PᵀHP in a subspace."""

from functools import cache

import pytest
import torch

import landscope as ls
from tests.reference.dense import relative_error
from tests.reference.networks import CASES, dense


@cache
def problem():
    return ls.Problem(CASES["mlp"].model(), CASES["mlp"].data())


def basis(dim=4):
    generator = torch.Generator().manual_seed(0)
    D = dense("mlp").num_params
    return torch.linalg.qr(torch.randn(D, dim, dtype=torch.float64, generator=generator)).Q


@pytest.mark.parametrize(
    ("operator", "matrix"), [(ls.Hessian, "hessian"), (ls.GaussNewton, "gauss_newton")]
)
def test_the_matrix_in_the_subspace(operator, matrix):
    P = basis()
    A = operator(problem())
    projected = ls.Projected(A, P)
    expected = P.T @ getattr(dense("mlp"), matrix) @ P
    assert tuple(projected.shape) == (4, 4)
    assert projected.symmetric
    assert projected.psd == A.psd
    assert relative_error(projected.to_dense(), expected) < 1e-11
    v = torch.arange(4, dtype=torch.float64)
    assert relative_error(projected @ v, expected @ v) < 1e-11
    assert relative_error(projected.T @ v, expected @ v) < 1e-11


def test_a_basis_need_not_be_orthonormal():
    P = 2 * basis(3) + 0.1
    expected = P.T @ dense("mlp").hessian @ P
    assert relative_error(ls.Projected(ls.Hessian(problem()), P).to_dense(), expected) < 1e-11


@pytest.mark.parametrize("shape", [(5, 3), (118,), (3, 118)])
def test_a_basis_that_does_not_fit(shape):
    with pytest.raises((TypeError, ValueError)):
        ls.Projected(ls.Hessian(problem()), torch.zeros(shape, dtype=torch.float64))
