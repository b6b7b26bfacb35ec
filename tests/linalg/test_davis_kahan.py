"""Stated errors of eigenpairs against dense ones, over spectra with multiples and clusters."""

import warnings

import numpy as np
import pytest
import torch

from landscope.linalg import (
    ConvergenceWarning,
    cosine_errors,
    eigsh,
    power_errors,
    top_errors,
)

from .conftest import MatrixOperator, symmetric_matrix

DIM = 70


def spectra(seed):
    rng = np.random.default_rng(seed)
    uniform, gaussian = rng.uniform(size=DIM), rng.standard_normal(DIM)
    return {
        "Wigner": gaussian,
        "outliers": np.concatenate([np.geomspace(10, 2, 6), 0.1 * gaussian[6:]]),
        "multiples": np.concatenate([[5, 5, 3, 3, 3, 2], uniform[6:]]),
        "nearly multiples": np.concatenate(
            [5 + 1e-3 * uniform[:3], 3 + 1e-6 * uniform[3:6], uniform[6:]]
        ),
        "a multiple at the end": np.concatenate([[9, 5, 5, 5], uniform[4:]]),
        "low rank": np.concatenate([[4, 2, 1], np.zeros(DIM - 3)]),
        "decay": 0.8 ** np.arange(DIM),
    }


def check(name, seed, k, tol, scale=1.0, dtype=torch.float64):
    """The pairs and their errors, which must hold for all of them."""
    matrix = symmetric_matrix(spectra(seed)[name], seed)
    values, vectors = (part.flip(-1) for part in torch.linalg.eigh(matrix))
    noise = torch.randn(DIM, generator=torch.Generator().manual_seed(seed), dtype=matrix.dtype)
    gradient = torch.nn.functional.normalize(noise + 3 * vectors[:, :4].sum(1), dim=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        operator = MatrixOperator((scale * matrix).to(dtype))
        pairs = eigsh(operator, k, tol=tol, seed=seed, isolate=True)
    errors = top_errors(pairs)
    rounding = 50 * torch.finfo(dtype).eps

    cosines, expected = pairs.vectors.double().T @ gradient, vectors.T @ gradient
    off = cosines.abs() - expected[:k].abs()
    assert bool((off.abs() <= cosine_errors(cosines, errors.angles) + rounding).all())
    power = cosines.square().cumsum(0)
    off = power - expected[:k].square().cumsum(0)
    assert bool((off.abs() <= power_errors(power, errors.subspace_angles) + 2 * rounding).all())
    distances = (pairs.values[:, None] / scale - values).abs()
    apart = pairs.values > pairs.rest[1]  # elsewhere only some eigenvalue is said to lie near
    off = torch.where(apart, distances.diagonal(), distances.min(dim=1).values)
    assert bool((off <= errors.values / scale).all())
    return pairs, errors


@pytest.mark.parametrize("name", spectra(0))
@pytest.mark.parametrize(
    ("k", "tol"),
    [
        pytest.param(k, tol, marks=() if (k, tol) in {(3, 1e-1), (6, 1e-4)} else pytest.mark.slow)
        for k in (1, 3, 6)
        for tol in (1e-1, 1e-2, 1e-4)
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_errors_cover_the_exact_eigenpairs(name, k, tol):
    check(name, 0, k, tol)


@pytest.mark.slow
@pytest.mark.parametrize("name", spectra(0))
@pytest.mark.usefixtures("unchecked")
def test_errors_cover_the_exact_eigenpairs_of_any_seed(name):
    for seed in range(150):
        for tol in (1e-1, 1e-2, 1e-4):
            check(name, seed, 1 + seed % 7, tol)


@pytest.mark.parametrize("seed", [1, 2, 15])
def test_an_eigenvector_within_the_residuals_of_few_steps_is_found(seed):
    """The space of the first vector is all but exhausted: what a second one is new to is null."""
    pairs, _ = check("low rank", seed, 2, 1e-1)
    torch.testing.assert_close(pairs.values, pairs.values.new_tensor([4.0, 2.0]), rtol=0.02, atol=0)


def test_errors_are_small_where_eigenvalues_stand_apart():
    _, errors = check("outliers", 0, 6, 1e-6)
    assert errors.angles.max() < 1e-4
    assert errors.subspace_angles.max() < 1e-4
    assert errors.values.max() < 1e-9


@pytest.mark.parametrize(
    ("scale", "dtype"), [(1e-200, torch.float64), (1e200, torch.float64), (1e-30, torch.float32)]
)
def test_scale_changes_no_angle(scale, dtype):
    for name in ("outliers", "multiples"):
        check(name, 1, 4, 1e-2, scale, dtype)


def test_nothing_is_known_of_a_single_vector_of_a_double_eigenvalue():
    """Yet of both together."""
    _, errors = check("multiples", 2, 5, 1e-6)
    unknown = errors.angles == torch.pi / 2
    assert unknown.tolist() == [True] * 5
    known = errors.subspace_angles < 1e-3
    assert known.tolist() == [False, True, False, False, True]
