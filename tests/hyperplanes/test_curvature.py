"""Curvature in a hyperplane against PᵀHP from matrices written out by double backward."""

from dataclasses import replace

import pytest
import torch

import landscope as ls
from landscope.hyperplanes.curvature import EXACT_UP_TO, curvature_of
from tests.reference.dense import relative_error
from tests.reference.networks import CASES, dense

D = dense("mlp").num_params


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def problem():
    return problem_of("mlp")


def problem_of(name, **options):
    case = CASES[name]
    return ls.Problem(case.model(), case.data(), loss=case.loss, **options)


def projected(name, hyperplane, operator, theta=None):
    """PᵀAP at W₀ + Pθ in float64."""
    P, reference = hyperplane.basis.to_dense().double(), dense(name)
    if theta is not None:
        reference = replace(reference, point=reference.point + P @ theta)
    return P.T @ getattr(reference, operator) @ P


def assert_measures(found, matrix, rtol):
    """Compare all that is measured exactly with a dense matrix."""
    values = torch.linalg.eigvalsh(matrix).flip(0)
    total, norm = float(matrix.trace()), float(matrix.norm())
    assert found.eigenvalues.dtype == torch.float64
    assert relative_error(found.eigenvalues, values) < rtol
    assert float(found.trace) == pytest.approx(total, abs=rtol * norm * len(matrix) ** 0.5)
    assert float(found.frobenius_norm) == pytest.approx(norm, rel=rtol)
    assert float(found.trace_over_norm) == pytest.approx(
        total / norm, abs=rtol * len(matrix) ** 0.5
    )
    estimates = found.trace, found.frobenius_norm, found.trace_over_norm, found.positive_share
    assert all(estimate.exact for estimate in estimates)
    assert found.density is None
    assert found.num_products == len(matrix)
    # What is positive beyond rounding is far from it here: eigenvalues are counted as they are.
    positive = int((values > 1e-9 * values.abs().max()).sum())
    assert float(found.positive_share) == pytest.approx(positive / len(matrix))


@pytest.mark.parametrize(
    ("kind", "moved", "operator"),
    [
        pytest.param(kind, moved, operator, marks=() if (i + j) % 3 == moved else pytest.mark.slow)
        for i, kind in enumerate(["dense", "sparse", "fastfood"])
        for moved in (False, True)
        for j, operator in enumerate(["hessian", "gauss_newton", "logit_curvature"])
    ],
)
def test_the_exact_measures(problem, kind, moved, operator):
    hyperplane = ls.AffineHyperplane(problem, dim=12, kind=kind, seed=1)
    theta = 2 * normal(12) if moved else None
    found = hyperplane.curvature(operator, theta)
    assert_measures(found, projected("mlp", hyperplane, operator, theta), rtol=1e-11)


@pytest.mark.parametrize("name", ["conv", "attention", "tied", "lstm", "mse"])
def test_other_networks_away_from_the_origin(name):
    hyperplane = ls.AffineHyperplane(problem_of(name), dim=2, seed=4)
    theta = normal(2)
    for operator in ("hessian", "gauss_newton"):
        found = hyperplane.curvature(operator, theta=theta)
        assert_measures(found, projected(name, hyperplane, operator, theta), rtol=1e-10)


def test_columns_of_a_gaussian_basis_need_not_be_orthogonal(problem):
    hyperplane = ls.AffineHyperplane(problem, dim=5, kind="gaussian")
    assert_measures(hyperplane.curvature(), projected("mlp", hyperplane, "hessian"), rtol=1e-11)


def test_one_dimension(problem):
    hyperplane = ls.AffineHyperplane(problem, dim=1, seed=2)
    p = hyperplane.basis.to_dense()[:, 0]
    curved = float(p @ dense("mlp").hessian @ p)
    found = hyperplane.curvature()
    assert float(found.trace) == pytest.approx(curved)
    assert float(found.trace_over_norm) == pytest.approx(1.0 if curved > 0 else -1.0)
    assert float(found.positive_share) == float(curved > 0)


@pytest.mark.parametrize("operator", ["hessian", "gauss_newton"])
def test_float32(operator):
    hyperplane = ls.AffineHyperplane(problem_of("mlp", dtype=torch.float32), dim=60, seed=1)
    found = hyperplane.curvature(operator)
    matrix = projected("mlp", hyperplane, operator)
    assert relative_error(found.eigenvalues, torch.linalg.eigvalsh(matrix).flip(0)) < 1e-5
    assert float(found.frobenius_norm) == pytest.approx(float(matrix.norm()), rel=1e-5)
    if operator == "gauss_newton":
        # Its rank is 36: C − 1 = 3 for each of 12 examples. The other 24 eigenvalues are rounding.
        assert float(found.positive_share) == pytest.approx(36 / 60)


@pytest.mark.parametrize(
    ("kind", "operator"),
    [("dense", "hessian"), ("sparse", "gauss_newton"), ("given", "hessian")],
)
def test_the_whole_space_has_the_whole_spectrum(problem, kind, operator):
    given = {"vectors": torch.eye(D, dtype=torch.float64)} if kind == "given" else {"dim": D}
    found = ls.AffineHyperplane(problem, kind=kind, **given).curvature(operator)
    assert_measures(found, getattr(dense("mlp"), operator), rtol=1e-11)


def test_the_whole_space_by_fastfood():
    # 4 inputs, 8 hidden units, 3 logits: 32 + 8 + 24 = 64 weights, one block.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3, bias=False)
        ).double()
    x, y = normal(7, 4), torch.arange(7) % 3

    def loss(weights):
        first, bias, second = weights.split([32, 8, 24])
        z = torch.tanh(x @ first.view(8, 4).T + bias) @ second.view(3, 8).T
        return torch.nn.functional.cross_entropy(z, y)

    weights = torch.cat([p.detach().reshape(-1) for p in net.parameters()])
    expected = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, weights)).flip(0)
    found = ls.AffineHyperplane(ls.Problem(net, (x, y)), dim=64, kind="fastfood").curvature()
    assert relative_error(found.eigenvalues, expected) < 1e-11


def test_top_eigenvectors_give_a_diagonal_matrix_of_top_eigenvalues(problem):
    values, vectors = torch.linalg.eigh(dense("mlp").hessian)
    values, vectors = values[-6:].flip(0), vectors[:, -6:].flip(1)
    hyperplane = ls.AffineHyperplane(problem, vectors=vectors)
    matrix = ls.Projected(ls.Hessian(problem), hyperplane.basis).to_dense()
    torch.testing.assert_close(matrix, values.diag(), rtol=0, atol=1e-12)
    assert relative_error(hyperplane.curvature().eigenvalues, values) < 1e-12


@pytest.mark.usefixtures("unchecked")
def test_measured_eigenvectors_serve_as_vectors(problem):
    measured = ls.curvature(problem, k=2, tol=1e-7)
    found = ls.AffineHyperplane(problem, vectors=measured.vectors).curvature()
    top = torch.linalg.eigvalsh(dense("mlp").hessian)[-2:].flip(0)
    assert relative_error(found.eigenvalues, top) < 1e-8


def test_an_operator_may_be_given(problem):
    hyperplane = ls.AffineHyperplane(problem, dim=4)
    theta = normal(4)
    point = hyperplane.at(theta)
    for A, name in ((ls.Hessian(point), "hessian"), (ls.GaussNewton(point), "gauss_newton")):
        found = hyperplane.curvature(A, theta)
        assert_measures(found, projected("mlp", hyperplane, name, theta), rtol=1e-11)


def test_an_unknown_operator(problem):
    with pytest.raises(ValueError, match="operator names 'laplacian'; accepted are"):
        ls.AffineHyperplane(problem, dim=4).curvature("laplacian")


@pytest.mark.usefixtures("unchecked")
def test_the_dimension_decides_what_is_exact(monkeypatch):
    assert EXACT_UP_TO == 512
    monkeypatch.setattr("landscope.hyperplanes.curvature.EXACT_UP_TO", 31)
    for dim, exact in ((31, True), (32, False)):
        found = curvature_of(torch.linspace(-1, 2, dim, dtype=torch.float64).diag())
        assert (found.eigenvalues is not None) is exact
        assert (found.density is None) is exact
        assert found.trace.exact is exact


def test_no_curvature_at_all():
    found = curvature_of(torch.zeros(5, 5, dtype=torch.float64))
    assert (float(found.trace), float(found.frobenius_norm)) == (0.0, 0.0)
    assert float(found.positive_share) == 0.0
    assert torch.isnan(torch.tensor(float(found.trace_over_norm)))


def assert_estimates(found, matrix, level):
    """Compare intervals with the dense truth."""
    values = torch.linalg.eigvalsh(matrix)
    truth = {
        "trace": float(values.sum()),
        "frobenius_norm": float(values.norm()),
        "trace_over_norm": float(values.sum() / values.norm()),
    }
    for name, value in truth.items():
        low, high = getattr(found, name).interval(level)
        assert low <= value <= high, name
    share = found.positive_share
    low, high = share.interval(level)
    assert low <= float((values > 0).double().mean()) <= high
    assert found.eigenvalues is None
    assert not share.exact


@pytest.mark.usefixtures("unchecked")
def test_estimates_in_a_hyperplane(problem):
    # More dimensions than the 30 probes of trace and norm, which would be exact.
    hyperplane = ls.AffineHyperplane(problem, dim=36, seed=1)
    theta = normal(36)
    H = replace(dense("mlp"), point=hyperplane.point(theta)).hessian
    found = hyperplane.curvature(H, theta, exact=False)  # hundreds of products: a matrix's are fast
    assert not found.trace.exact
    assert_estimates(found, projected("mlp", hyperplane, "hessian", theta), 0.999)
    spent = found.trace, found.frobenius_norm, found.density
    assert found.num_products == sum(part.num_products for part in spent)


def test_few_dimensions_need_few_probes(problem):
    # Up to 30 products trace and norm are exact, and only the density is not.
    hyperplane = ls.AffineHyperplane(problem, dim=3, seed=1)
    found, matrix = hyperplane.curvature(exact=False), projected("mlp", hyperplane, "hessian")
    assert found.trace.exact
    assert found.frobenius_norm.exact
    assert float(found.trace) == pytest.approx(float(matrix.trace()))
    assert float(found.frobenius_norm) == pytest.approx(float(matrix.norm()))


@pytest.mark.usefixtures("unchecked")
def test_intervals_cover_the_truth_of_a_known_spectrum():
    # A slope with outliers, in a hyperplane of 32 of 60 dimensions: more than there are probes.
    values = torch.cat([torch.linspace(-1, 3, 57), torch.tensor([6.0, 8.0, 12.0])]).double()
    vectors = torch.linalg.qr(normal(60, 60)).Q
    P = torch.linalg.qr(normal(60, 32, seed=1)).Q
    matrix = P.T @ vectors @ values.diag() @ vectors.T @ P
    first, again, other = (curvature_of(matrix, exact=False, seed=seed) for seed in (0, 0, 1))
    assert_estimates(first, matrix, 0.999)
    assert_estimates(other, matrix, 0.999)
    for name in ("trace", "frobenius_norm", "positive_share"):
        assert not getattr(first, name).exact
        assert float(getattr(first, name)) == float(getattr(again, name))
        assert float(getattr(first, name)) != float(getattr(other, name))


@pytest.mark.parametrize(
    ("kind", "entries_at_once"), [("dense", 2**24), ("dense", 1), ("fastfood", 2**24)]
)
def test_the_matrix_is_that_of_its_columns(problem, kind, entries_at_once, monkeypatch):
    # In blocks of 16 columns with a rest of 3, or where weight space is large one by one.
    monkeypatch.setattr("landscope.operators.projected._ENTRIES_AT_ONCE", entries_at_once)
    hyperplane = ls.AffineHyperplane(problem, dim=19, kind=kind)
    A = ls.Projected(ls.Hessian(problem), hyperplane.basis)
    units = torch.eye(19, dtype=torch.float64)
    columns = torch.stack([A @ unit for unit in units], dim=1)
    torch.testing.assert_close(A.to_dense(), columns, rtol=0, atol=1e-13)
    assert relative_error(columns, projected("mlp", hyperplane, "hessian")) < 1e-11
