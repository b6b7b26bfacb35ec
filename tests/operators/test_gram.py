"""The Gram route to the Gauss-Newton spectrum: eigenpairs, groups of columns, both squares."""

import pytest
import torch

import landscope as ls
from landscope.operators import gram
from landscope.products import LayerwiseJacobian
from tests.reference.dense import relative_error
from tests.reference.networks import CASES, dense


def problem_of(name, **options):
    case = CASES[name]
    return ls.Problem(case.model(), case.data(), loss=case.loss, **options)


@pytest.mark.parametrize("name", CASES)
def test_all_eigenpairs(name):
    G = dense(name).gauss_newton
    found = ls.gram_eigenpairs(problem_of(name, batch_size=4))
    exact = torch.linalg.eigvalsh(G).flip(0)
    scale = float(exact[0])
    r = len(found.values)
    assert float((found.values - exact[:r]).abs().max()) < 1e-10 * scale
    assert float(exact[r:].abs().sum()) < 1e-10 * scale
    assert found.vectors.shape == (len(G), r)
    large = found.values > 1e-6 * scale  # a vector is known to rounding over √λ
    V = found.vectors[:, large]
    assert relative_error(V.T @ V, torch.eye(V.shape[1], dtype=torch.float64)) < 1e-8
    residuals = (G @ found.vectors - found.vectors * found.values).norm(dim=0)
    assert torch.allclose(residuals, found.residuals, rtol=0, atol=1e-12 * scale)
    assert float(residuals.max()) < 1e-8 * scale


@pytest.mark.parametrize("name", ["mlp", "batch_norm", "attention"])
def test_some_eigenpairs(name):
    all_of_them = ls.gram_eigenpairs(problem_of(name))
    some = ls.gram_eigenpairs(problem_of(name), k=3)
    assert torch.allclose(some.values, all_of_them.values[:3], rtol=1e-12, atol=0)
    overlap = (some.vectors * all_of_them.vectors[:, :3]).sum(0).abs()
    assert torch.allclose(overlap, torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-8)


def test_more_eigenpairs_than_there_are():
    found = ls.gram_eigenpairs(problem_of("mlp"), k=1000)
    assert torch.allclose(found.values, ls.gram_spectrum(problem_of("mlp")), rtol=1e-12)


def test_bad_k_is_refused():
    with pytest.raises(ValueError, match="k is 0"):
        ls.gram_eigenpairs(problem_of("mlp"), k=0)


@pytest.mark.parametrize(
    ("column_bytes", "name"),
    [(1, "conv"), (1, "mlp"), (5000, "conv"), (5000, "transformer"), (5000, "tied")]
    + [pytest.param(1, name, marks=pytest.mark.slow) for name in ("transformer", "tied")],
)
def test_groups_of_columns(name, column_bytes, monkeypatch):
    monkeypatch.setattr(gram, "COLUMN_BYTES", column_bytes)
    problem = problem_of(name)
    J = LayerwiseJacobian(problem)
    rows = dense(name).per_example_jacobian.flatten(0, 1)
    for rank_one in (True, False):
        K = gram.gram_matrix(J, rank_one=rank_one).triu()
        assert relative_error(K, (rows @ rows.T).triu()) < 1e-12


@pytest.mark.parametrize("most", [1, 7, 20, 10**6])
def test_groups_hold_every_column_once(most):
    J = LayerwiseJacobian(problem_of("conv"))
    groups = gram._groups(J, most, rank_one=False)
    columns = torch.cat([part.columns for group in groups for part, _ in group])
    assert torch.equal(columns.sort().values, torch.arange(J.problem.num_params))
    for group in groups:  # a wider unit, or a layer of rank one, is alone
        assert gram._width(group) <= most or len(group) == 1


@pytest.mark.parametrize("num", [3, 40])
def test_both_squares_and_their_rank(num):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(num, 5, dtype=torch.float64, generator=generator)
    problem = ls.Problem(CASES["mlp"].model(), (inputs, torch.arange(num) % 4))
    G = ls.GaussNewton(problem).to_dense()
    exact = torch.linalg.eigvalsh(G).flip(0)
    found = ls.gram_spectrum(problem)
    assert len(found) <= min(3 * num, problem.num_params)
    if num == 3:
        assert len(found) == 9  # N(C−1)
    error = (found - exact[: len(found)]).abs().max()
    assert float(error) < 1e-12 * float(exact[0])


def test_float32_against_float64():
    case = CASES["group_norm"]
    inputs, targets = case.data()
    single = ls.gram_spectrum(ls.Problem(case.model().float(), (inputs.float(), targets)))
    double = ls.gram_spectrum(problem_of("group_norm"))
    count = min(len(single), len(double))
    assert single.dtype == torch.float64
    assert float((single[:count] - double[:count]).abs().max()) < 1e-5 * float(double[0])


def test_the_exact_trace():
    for name in CASES:
        trace = gram.gauss_newton_trace(problem_of(name))
        assert trace == pytest.approx(float(dense(name).gauss_newton.trace()), rel=1e-12)


def test_a_dense_matrix_that_does_not_fit_is_refused(monkeypatch):
    class Free:
        available = 1000

    monkeypatch.setattr(gram.psutil, "virtual_memory", Free)
    with pytest.raises(ValueError, match="low_rank_spectrum"):
        ls.gram_spectrum(problem_of("mlp"))
