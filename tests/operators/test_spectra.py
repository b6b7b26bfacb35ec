"""Spectra of networks by linalg, against dense eigendecompositions of the references."""

from functools import cache
from itertools import product

import pytest
import torch

import landscope as ls
from tests.reference.dense import relative_error
from tests.reference.networks import CASES, dense

ENDS = ["LA", "SA", "LM", "BE"]


def problem_of(name, **options):
    case = CASES[name]
    return ls.Problem(case.model(), case.data(), loss=case.loss, **options)


@cache
def hessian(name):
    """One operator for all tests: its primal pass is then kept once."""
    return ls.Hessian(problem_of(name))


@pytest.mark.parametrize("name", CASES)
def test_all_nonzero_eigenvalues_of_the_gauss_newton_matrix(name):
    d = dense(name)
    exact = torch.linalg.eigvalsh(d.gauss_newton).flip(0)
    w = ls.gram_spectrum(problem_of(name, batch_size=4))
    assert w.dtype == torch.float64
    assert (w[:-1] >= w[1:]).all()
    count = min(len(w), len(exact))
    scale = float(exact[0])
    assert float((w[:count] - exact[:count]).abs().max()) < 1e-10 * scale
    # What is left out on either side is zero.
    assert float(w[count:].abs().sum()) < 1e-10 * scale
    assert float(exact[count:].abs().sum()) < 1e-10 * scale


@pytest.mark.parametrize(
    ("which", "name"),
    [(which, "mlp") for which in ENDS]
    + [("LM", "layer_norm"), ("BE", "attention")]
    + [
        pytest.param(which, name, marks=pytest.mark.slow)
        for which, name in product(ENDS, ("layer_norm", "attention"))
        if (which, name) not in {("LM", "layer_norm"), ("BE", "attention")}
    ],
)
def test_eigenpairs_of_the_hessian(name, which):
    values = torch.linalg.eigvalsh(dense(name).hessian)
    ends = {
        "LA": values.flip(0)[:4],
        "SA": values[:4],
        "LM": values[values.abs().argsort(descending=True)][:4],
        "BE": torch.cat([values.flip(0)[:2], values.flip(0)[-2:]]),
    }
    found = ls.eigsh(hessian(name), k=4, which=which, tol=1e-9)
    assert found.converged
    scale = float(values.abs().max())
    assert float((found.values - ends[which]).abs().max()) < 1e-8 * scale
    residuals = dense(name).hessian @ found.vectors - found.vectors * found.values
    assert float(residuals.norm(dim=0).max()) < 1e-8 * scale
    assert torch.allclose(residuals.norm(dim=0), found.residuals, atol=1e-10 * scale)
    assert found.vectors.shape == (len(values), 4)


@pytest.mark.parametrize("operator", ["hessian", "gauss_newton"])
def test_moments_of_the_density(operator):
    d = dense("mlp")
    exact = torch.linalg.eigvalsh(getattr(d, operator))
    A = hessian("mlp") if operator == "hessian" else ls.GaussNewton(problem_of("mlp"))
    found = ls.spectral_density(A, num_probes=4, num_steps=25, seed=1)
    grid, density, stderr = found.grid, found.density, found.stderr
    total = float(torch.trapezoid(density, grid))
    assert total == pytest.approx(1.0, abs=1e-2)
    for power in (1, 2):
        moment = float(torch.trapezoid(density * grid**power, grid))
        error = float(torch.trapezoid(stderr * grid.abs() ** power, grid))
        expected = float((exact**power).mean())
        scale = float((exact.abs() ** power).mean())
        assert abs(moment - expected) < 3 * error + 0.02 * scale


def test_zeros_of_the_gauss_newton_matrix_are_an_atom():
    """Fewer terms than parameters: the intervals hold the exact shares, and none is negative."""
    exact = torch.linalg.eigvalsh(dense("mlp").gauss_newton)
    near = 1e-8 * float(exact.max())
    share = float((exact.abs() <= near).double().mean())
    found = ls.spectral_density(ls.GaussNewton(problem_of("mlp")), num_probes=4)
    low, high = found.mass(-near, near).interval(0.999)
    assert low <= share <= high
    assert found.mass(-float("inf"), -near) == 0
    assert found.quantile(0.01).interval()[0] >= 0
    if share > 0.3:
        (atom,) = found.atoms()
        assert abs(atom.location) <= atom.error <= near


@pytest.mark.slow
def test_the_interval_of_the_trace_is_calibrated():
    """The 95 % interval covers the truth in 90-99 % of 200 seeded runs."""
    H = hessian("mlp")
    truth = float(dense("mlp").hessian.trace())
    covered = 0
    for seed in range(200):
        low, high = ls.trace(H, num_probes=12, seed=seed).interval(0.95)
        covered += low <= truth <= high
    assert 0.90 <= covered / 200 <= 0.99


@pytest.mark.usefixtures("unchecked")
def test_the_interval_of_the_frobenius_norm_covers_it():
    H = dense("mlp").hessian  # a matrix is an operator too
    truth = float(H.norm())
    runs = [ls.frobenius_norm(H, num_probes=12, seed=seed) for seed in range(100)]
    covered = sum(low <= truth <= high for low, high in (run.interval(0.95) for run in runs))
    assert 0.88 <= covered / 100 <= 1.0
    assert relative_error(torch.tensor([float(r) for r in runs]).mean(), torch.tensor(truth)) < 0.05


def test_a_seed_gives_the_same_numbers_and_leaves_the_global_state_alone():
    H = hessian("mlp")
    state = torch.random.get_rng_state()
    first, second = (ls.trace(H, num_probes=4, seed=5) for _ in range(2))
    assert float(first) == pytest.approx(float(second), rel=1e-12)
    assert float(ls.trace(H, num_probes=4, seed=6)) != float(first)
    ls.spectral_density(H, num_probes=2, num_steps=10)
    ls.eigsh(H, k=2)
    ls.frobenius_norm(H, num_probes=4)
    assert torch.equal(torch.random.get_rng_state(), state)
