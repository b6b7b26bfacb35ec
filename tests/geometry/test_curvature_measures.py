"""Curvature, gradient overlap, the split H = G + R and the tangent kernel, against dense."""

from functools import cache
from importlib import import_module

import pytest
import torch

import landscope as ls
from landscope.geometry.curvature import ratio
from landscope.geometry.outliers import find_outliers
from tests.reference.dense import relative_error
from tests.reference.networks import CASES, dense, dense_reference


@cache
def problem_of(name):
    case = CASES[name]
    return ls.Problem(case.model(), case.data(), loss=case.loss)


@cache
def operator_of(name, operator):
    return {"hessian": ls.Hessian, "gauss_newton": ls.GaussNewton}[operator](problem_of(name))


def inside(estimate, truth, level=0.999):
    low, high = estimate.interval(level)
    return low - 1e-9 * abs(truth) <= truth <= high + 1e-9 * abs(truth)


@pytest.mark.parametrize("operator", ["hessian", "gauss_newton"])
def test_curvature(operator):
    matrix = getattr(dense("mlp"), operator)
    exact = torch.linalg.eigvalsh(matrix).flip(0)
    measured = ls.curvature(problem_of("mlp"), k=8, operator=operator_of("mlp", operator), tol=1e-8)
    assert measured.converged
    assert float((measured.eigenvalues - exact[:8]).abs().max()) < 1e-7 * float(exact[0])
    residuals = (matrix @ measured.vectors - measured.vectors * measured.eigenvalues).norm(dim=0)
    assert torch.allclose(residuals, measured.residuals, atol=1e-9)
    assert inside(measured.trace, float(matrix.trace()))
    assert inside(measured.frobenius_norm, float(matrix.norm()))
    assert inside(measured.trace_over_norm, float(matrix.trace() / matrix.norm()))
    assert inside(measured.effective_rank, float(matrix.trace() ** 2 / matrix.square().sum()))
    if operator == "hessian":
        assert measured.min_eigenvalue == pytest.approx(float(exact[-1]), abs=1e-6)
    else:
        assert measured.min_eigenvalue != measured.min_eigenvalue


@pytest.mark.usefixtures("unchecked")
def test_the_interval_of_trace_over_norm_covers_it():
    H = dense("mlp").hessian
    truth = float(H.trace() / H.norm())
    covered = 0
    num_runs = 100
    for seed in range(num_runs):
        quotient = ratio(
            ls.trace(H, num_probes=12, seed=seed), ls.frobenius_norm(H, num_probes=12, seed=seed)
        )
        covered += inside(quotient, truth, 0.95)
    assert covered / num_runs >= 0.85


@pytest.mark.parametrize("operator", ["hessian", "gauss_newton"])
def test_gradient_overlap(operator):
    problem, d = problem_of("mlp"), dense("mlp")
    values, vectors = torch.linalg.eigh(getattr(d, operator))
    vectors = vectors.flip(1)[:, :6]
    cosines = vectors.T @ d.gradient / d.gradient.norm()
    measured = ls.gradient_overlap(problem, k=6, operator=operator_of("mlp", operator), tol=1e-9)
    assert torch.allclose(measured.cosines.abs(), cosines.abs(), rtol=0, atol=1e-6)
    assert torch.allclose(measured.power, cosines.square().cumsum(0), rtol=0, atol=1e-6)
    assert torch.allclose(measured.eigenvalues, values.flip(0)[:6], rtol=0, atol=1e-8)
    assert measured.gradient_norm == pytest.approx(float(d.gradient.norm()), rel=1e-12)


def test_the_top_power_ends_with_the_eigenvectors_there_are():
    measured = ls.gradient_overlap(problem_of("mlp"), k=3, operator=operator_of("mlp", "hessian"))
    assert measured.top_power(2) == float(measured.power[1])
    assert measured.top_power(10) == float(measured.power[2])


def test_the_effective_rank_of_equal_eigenvalues_is_their_number():
    """With H = I/2 on 4 weights every probe is exact."""
    model = torch.nn.Linear(2, 2, bias=False)
    problem = ls.Problem(model, (torch.eye(2), torch.eye(2)), loss="mse")
    assert float(ls.curvature(problem, k=2).effective_rank) == pytest.approx(4, rel=1e-5)


def test_all_directions_hold_all_of_the_gradient():
    problem = problem_of("mlp")
    measured = ls.gradient_overlap(
        problem, k=problem.num_params, operator=operator_of("mlp", "hessian")
    )
    assert float(measured.power[-1]) == pytest.approx(1.0, abs=1e-9)
    assert (measured.power.diff() >= 0).all()


@pytest.mark.usefixtures("unchecked")
def test_hessian_split():
    d = dense("mlp")
    measured = ls.hessian_split(problem_of("mlp"), k=5, tol=1e-9)
    truth = float(d.logit_curvature.norm() / d.gauss_newton.norm())
    assert inside(measured.ratio, truth)
    assert inside(measured.gauss_newton_norm, float(d.gauss_newton.norm()))
    assert inside(measured.logit_curvature_norm, float(d.logit_curvature.norm()))
    values, vectors = torch.linalg.eigh(d.hessian)
    top = vectors.flip(1)[:, :5]
    share = (top * (d.gauss_newton @ top)).sum(0) / values.flip(0)[:5]
    assert torch.allclose(measured.gauss_newton_share, share, rtol=0, atol=1e-5)
    exact = torch.linalg.eigvalsh(d.logit_curvature)
    exact = exact[exact.abs().argsort(descending=True)][:5]
    assert torch.allclose(
        measured.logit_curvature_eigenvalues.abs(), exact.abs(), rtol=0, atol=1e-7
    )
    assert torch.allclose(
        measured.gauss_newton_eigenvalues,
        torch.linalg.eigvalsh(d.gauss_newton).flip(0)[:5],
        rtol=0,
        atol=1e-7,
    )


def test_a_linear_model_has_no_logit_curvature():
    model = torch.nn.Linear(4, 3).double()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(9, 4, dtype=torch.float64, generator=generator)
    measured = ls.hessian_split(ls.Problem(model, (x, torch.arange(9) % 3)), k=3)
    assert float(measured.ratio) == 0.0
    assert torch.allclose(measured.gauss_newton_share, torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("name", ["mlp", "attention"])
def test_tangent_kernel(name):
    d = dense(name)
    exact = torch.linalg.eigvalsh(d.tangent_kernel).flip(0)
    measured = ls.tangent_kernel(problem_of(name), k=6)
    assert float((measured.eigenvalues[:6] - exact[:6]).abs().max()) < 1e-8 * float(exact[0])
    assert float(measured.trace) == pytest.approx(float(d.tangent_kernel.trace()), rel=1e-10)
    assert float(measured.frobenius_norm) == pytest.approx(
        float(d.tangent_kernel.norm()), rel=1e-10
    )
    assert float(measured.drift) != float(measured.drift)  # nan: no reference was given


def test_drift_of_the_tangent_kernel():
    case, d = CASES["mlp"], dense("mlp")
    problem = problem_of("mlp")
    moved = case.model()
    generator = torch.Generator().manual_seed(0)
    step = 0.1 * torch.randn(d.num_params, dtype=torch.float64, generator=generator)
    torch.nn.utils.vector_to_parameters(d.point + step, moved.parameters())
    K = dense_reference(moved, *case.data()).tangent_kernel
    measured = ls.tangent_kernel(problem.at(d.point + step), reference=problem)
    truth = float((K - d.tangent_kernel).norm() / d.tangent_kernel.norm())
    assert float(measured.drift) == pytest.approx(truth, rel=1e-9)
    assert float(ls.tangent_kernel(problem, reference=problem).drift) == pytest.approx(0, abs=1e-12)


def test_the_large_kernel_is_measured_by_products(monkeypatch):
    # The function hides the module of its name: it is reached by import_module alone.
    monkeypatch.setattr(import_module("landscope.geometry.tangent_kernel"), "MAX_DENSE", 1)
    case, d = CASES["mlp"], dense("mlp")
    problem = problem_of("mlp")
    elsewhere = problem.at(1.05 * problem.parameters_vector())
    moved = case.model()
    torch.nn.utils.vector_to_parameters(1.05 * d.point, moved.parameters())
    K = dense_reference(moved, *case.data()).tangent_kernel
    measured = ls.tangent_kernel(elsewhere, k=4, reference=problem, tol=1e-9)
    assert not measured.exact
    exact = torch.linalg.eigvalsh(K).flip(0)[:4]
    assert relative_error(measured.eigenvalues, exact) < 1e-8
    assert inside(measured.trace, float(K.trace()))
    truth = float((K - d.tangent_kernel).norm() / d.tangent_kernel.norm())
    assert inside(measured.drift, truth)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [0, 1, 4, 9])
def test_planted_outliers_are_counted(count, seed):
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(400, 200, dtype=torch.float64, generator=generator)
    bulk = torch.linalg.eigvalsh(X.T @ X / 400).flip(0)
    planted = torch.linspace(6.0, 12.0, count, dtype=torch.float64).flip(0)
    spectrum = torch.cat([planted, bulk])[:24]
    found = find_outliers(spectrum.numpy())
    assert found.count == count
    assert found.bulk_edge == pytest.approx(float(bulk[0]), rel=0.1)


@pytest.mark.parametrize("k", [0, -1, 119])
@pytest.mark.parametrize("measure", ["curvature", "gradient_overlap", "hessian_split"])
def test_a_number_of_eigenvalues_outside_the_space_is_refused(measure, k):
    with pytest.raises(ValueError, match=r"\bk\b"):
        getattr(ls, measure)(problem_of("mlp"), k=k)


@pytest.mark.parametrize("measure", ["curvature", "gradient_overlap"])
def test_an_unknown_operator_is_refused(measure):
    with pytest.raises(ValueError, match="hessain"):
        getattr(ls, measure)(problem_of("mlp"), operator="hessain")
