"""Every way of computing products, on every reference network, against dense matrices."""

import warnings
from itertools import product

import pytest
import torch

import landscope as ls
from tests.reference.dense import product_error, relative_error
from tests.reference.networks import CASES, dense

MATRICES = {
    "Hessian": "hessian",
    "GaussNewton": "gauss_newton",
    "LogitCurvature": "logit_curvature",
    "EmpiricalFisher": "empirical_fisher",
    "LogitJacobian": "jacobian",
}
# The Hessian and the Gauss-Newton matrix are made of every trace there is; of the others it is
# enough to see each on two networks that differ most: the whole grid is slow.
COVERING = {("LogitCurvature", "mse"), ("LogitCurvature", "layer_norm"), ("LogitJacobian", "lstm")}
COVERING |= {("EmpiricalFisher", "tied"), ("EmpiricalFisher", "mse"), ("LogitJacobian", "conv")}
COVERING |= {(name, network) for name in ("Hessian", "GaussNewton") for network in CASES}
COVERING -= {("GaussNewton", "attention")}  # is below
EVERY_PAIR = [
    pytest.param(*pair, marks=() if pair in COVERING else pytest.mark.slow)
    for pair in product(MATRICES, CASES)
]
EXACT = ["linearized", "recomputed", "cached_graph", "double_backward"]


def operator(name, network, method, **options):
    case = CASES[network]
    problem = ls.Problem(case.model(), case.data(), loss=case.loss, **options)
    return getattr(ls, name)(problem, method=method), getattr(dense(network), MATRICES[name])


@pytest.mark.parametrize(("name", "network"), EVERY_PAIR)
def test_linearized_products_on_every_network(name, network):
    A, expected = operator(name, network, "linearized", batch_size=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no way out: every reference network can be traced
        assert product_error(A, expected) < 1e-10


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("name", MATRICES)
def test_every_exact_method(name, method):
    network = "attention" if name in ("GaussNewton", "EmpiricalFisher") else "layer_norm"
    A, expected = operator(name, network, method, batch_size=5 if network == "layer_norm" else 2)
    assert product_error(A, expected) < 1e-10


@pytest.mark.parametrize("name", MATRICES)
def test_finite_differences(name):
    A, expected = operator(name, "attention", "finite_difference")
    v = torch.randn(
        expected.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    for scale in (1e-6, 1.0, 1e6):  # the step knows the length of v
        assert relative_error(A @ (scale * v), scale * (expected @ v)) < 1e-7
