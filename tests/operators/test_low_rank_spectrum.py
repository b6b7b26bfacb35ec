"""The top of the Gauss-Newton spectrum, and what is left out, against the dense matrix."""

import pytest
import torch

import landscope as ls
from tests.reference.networks import CASES, dense


@pytest.mark.parametrize("name", ["conv", "mlp", "attention"])
def test_values_and_remainder(name):
    case = CASES[name]
    exact = torch.linalg.eigvalsh(dense(name).gauss_newton).flip(0)
    problem = ls.Problem(case.model(), case.data(), loss=case.loss)
    found = ls.low_rank_spectrum(problem, 4, tol=1e-9)
    assert found.converged
    scale = float(exact[0])
    assert float((found.values - exact[:4]).abs().max()) < 1e-9 * scale
    assert found.trace == pytest.approx(float(exact.sum()), rel=1e-12)
    assert found.remainder == pytest.approx(float(exact[4:].sum()), abs=1e-8 * scale)
    assert float(exact[4]) <= found.remainder + 1e-8 * scale
