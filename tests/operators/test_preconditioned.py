"""S(A + Λ)S against the matrix written out."""

import pytest
import torch

import landscope as ls
from landscope.testing import OperatorConformance
from tests.reference.networks import CASES, dense

D = dense("mlp").num_params


def diagonal(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(D, dtype=torch.float64, generator=generator)


def problem():
    return ls.Problem(CASES["mlp"].model(), CASES["mlp"].data())


class TestOfTheHessian(OperatorConformance):
    def operator(self):
        return ls.Preconditioned(ls.Hessian(problem()), diagonal(0), ridge=diagonal(1))

    def dense(self):
        S, ridge = diagonal(0).diag(), diagonal(1).diag()
        return S @ (dense("mlp").hessian + ridge) @ S


class TestOfTheGaussNewtonMatrix(OperatorConformance):
    def operator(self):
        return ls.Preconditioned(ls.GaussNewton(problem()), diagonal(0))

    def dense(self):
        return diagonal(0).diag() @ dense("mlp").gauss_newton @ diagonal(0).diag()


class TestOfWhatIsNotSymmetric(OperatorConformance):
    matrix = torch.arange(9.0, dtype=torch.float64).reshape(3, 3)
    scale = torch.tensor([1.0, -2.0, 0.0], dtype=torch.float64)

    def operator(self):
        return ls.Preconditioned(self.matrix, self.scale, ridge=torch.ones(3).double())

    def dense(self):
        return self.scale[:, None] * (self.matrix + torch.eye(3)) * self.scale


def test_it_is_positive_where_the_operator_and_the_ridge_are():
    G = ls.GaussNewton(problem())
    assert ls.Preconditioned(G, diagonal(0)).psd
    assert ls.Preconditioned(G, diagonal(0), ridge=diagonal(1).abs()).psd
    assert not ls.Preconditioned(G, diagonal(0), ridge=diagonal(1)).psd
    assert not ls.Preconditioned(ls.Hessian(problem()), diagonal(0)).psd


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (torch.eye(3), torch.ones(2)),
            r"scale is .* \(2,\); it must be a tensor of shape \(3,\)",
        ),
        ((torch.eye(3), torch.ones(3), torch.full((3,), torch.nan)), "ridge has NaN or infinity"),
        ((torch.eye(3), torch.tensor([1.0, torch.inf, 1.0])), "scale has NaN or infinity"),
        ((torch.ones(2, 3), torch.ones(2)), r"operator has shape \(2, 3\); it must be square"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ls.Preconditioned(*arguments)
