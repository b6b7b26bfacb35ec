import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from landscope.linalg import ConvergenceWarning, eigsh

from .conftest import MatrixOperator, symmetric_matrix


def expected(matrix, k, which):
    values = torch.linalg.eigvalsh(matrix.double())
    match which:
        case "LA":
            return values.flip(0)[:k]
        case "SA":
            return values[:k]
        case "LM":
            return values[values.abs().argsort(descending=True)][:k]
        case "BE":
            return torch.cat([values[: k // 2], values[len(values) - (k + 1) // 2 :]]).flip(0)


def check_pairs(operator, pairs, k, which, tol):
    """Values against dense, residuals and orthonormality of the vectors recomputed in float64."""
    matrix, vectors = operator.matrix.double(), pairs.vectors.double()
    largest = torch.linalg.eigvalsh(matrix).abs().max().item()
    rounding = 20 * torch.finfo(operator.dtype).eps * max(largest, 1)
    errors = (matrix @ vectors - vectors * pairs.values).norm(dim=0)
    assert pairs.converged
    assert errors.max() <= tol * largest + rounding
    torch.testing.assert_close(pairs.residuals, errors, rtol=1e-3, atol=rounding)
    gram = vectors.T @ vectors
    torch.testing.assert_close(gram, torch.eye(k, dtype=gram.dtype), rtol=0, atol=5 * rounding)
    values = expected(operator.matrix, k, which)
    torch.testing.assert_close(pairs.values, values, rtol=0, atol=tol * largest + rounding)
    assert pairs.num_products == operator.num_products
    largest_entries = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    assert bool((largest_entries > 0).all())


def loss_hessian_like(dim=400):
    """Nine outliers over a bulk that has a negative side."""
    bulk = np.random.default_rng(0).standard_normal(dim - 9) * 0.1
    return np.concatenate([np.geomspace(10, 2, 9), bulk])


@pytest.mark.parametrize("which", ["LA", "SA", "LM", "BE"])
@pytest.mark.parametrize("k", [1, 5])
def test_agrees_with_dense_at_every_end(operator_with, which, k):
    operator = operator_with(loss_hessian_like())
    pairs = eigsh(operator, k, which=which, tol=1e-10)
    check_pairs(operator, pairs, k, which, 1e-10)
    reference = expected(operator.matrix, k, which)
    torch.testing.assert_close(pairs.values, reference, rtol=1e-8, atol=0)


@pytest.mark.parametrize("gap", [0.0, 1e-4, 1e-2])
@pytest.mark.parametrize("tol", [1e-3, 1e-10])
def test_finds_clusters_and_multiplicities(operator_with, gap, tol):
    clusters = [c * (1 + gap * copy) for c in (10, 6, 3) for copy in range(3)]
    bulk = np.random.default_rng(0).uniform(0, 1, 291)
    operator = operator_with(np.concatenate([clusters, bulk]))
    for k in (2, 4, 9):
        operator.num_products = 0
        check_pairs(operator, eigsh(operator, k, tol=tol), k, "LA", tol)


def test_finds_both_copies_of_a_doubled_spectrum(operator_of):
    single = symmetric_matrix(np.linspace(-0.9, 1, 60) ** 3)
    operator = operator_of(torch.block_diag(single, single))
    for which in ("LA", "LM", "BE"):
        operator.num_products = 0
        check_pairs(operator, eigsh(operator, 6, which=which, tol=1e-8), 6, which, 1e-8)


@pytest.mark.parametrize("rank", [0, 1, 5])
@pytest.mark.parametrize("which", ["LA", "SA", "LM", "BE"])
def test_operator_of_low_rank(operator_with, rank, which):
    operator = operator_with(np.concatenate([np.arange(1.0, rank + 1), np.zeros(120 - rank)]))
    check_pairs(operator, eigsh(operator, 8, which=which, tol=1e-8), 8, which, 1e-8)


@pytest.mark.parametrize("dim", [50, 200])
def test_identity(operator_of, dim):
    operator = operator_of(torch.eye(dim, dtype=torch.float64))
    check_pairs(operator, eigsh(operator, 7), 7, "LA", 1e-4)


@pytest.mark.parametrize("dim", [1, 2, 30, 60])
def test_all_eigenpairs(operator_with, dim):
    operator = operator_with(np.linspace(-1, 3, dim))
    pairs = eigsh(operator, dim, which="BE", tol=1e-9)
    check_pairs(operator, pairs, dim, "BE", 1e-9)
    assert pairs.num_products == dim


@pytest.mark.parametrize("which", ["LA", "SA"])
def test_float32_reaches_what_it_can(operator_with, which):
    operator = operator_with(loss_hessian_like(), dtype=torch.float32)
    pairs = eigsh(operator, 5, which=which, tol=1e-5)
    check_pairs(operator, pairs, 5, which, 1e-5)
    assert pairs.vectors.dtype == torch.float32
    assert pairs.values.dtype == torch.float64


def test_tolerance_below_float32_stops_and_says_so(operator_with):
    operator = operator_with(loss_hessian_like(), dtype=torch.float32)
    with pytest.warns(ConvergenceWarning, match="residuals"):
        pairs = eigsh(operator, 5, tol=1e-11)
    assert not pairs.converged
    assert pairs.num_products < 300
    assert pairs.residuals.max() < 1e-4
    reference = expected(operator.matrix, 5, "LA")
    torch.testing.assert_close(pairs.values, reference, rtol=1e-6, atol=0)


def test_says_when_the_products_ran_out(operator_with):
    operator = operator_with(np.linspace(0, 1, 500))
    with pytest.warns(ConvergenceWarning, match="max_products = 40"):
        pairs = eigsh(operator, 5, tol=1e-8, max_products=40)
    assert not pairs.converged
    assert pairs.num_products == operator.num_products <= 40
    assert pairs.values[0] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("max_products", [11, 12, 25])
def test_few_products_still_give_pairs(operator_with, max_products):
    operator = operator_with(loss_hessian_like())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        pairs = eigsh(operator, 5, tol=1e-12, max_products=max_products)
    assert pairs.num_products <= max_products
    assert pairs.vectors.shape == (400, 5)
    errors = operator.matrix @ pairs.vectors - pairs.vectors * pairs.values
    torch.testing.assert_close(pairs.residuals, errors.norm(dim=0), rtol=1e-6, atol=1e-12)


def test_small_basis_restarts_often_and_converges(operator_with):
    operator = operator_with(np.linspace(0, 1, 300) ** 2)
    pairs = eigsh(operator, 5, tol=1e-9, basis_size=11)
    check_pairs(operator, pairs, 5, "LA", 1e-9)


def test_seed_decides_the_result_and_the_global_state_stays(operator_with):
    operator = operator_with(loss_hessian_like())
    before = torch.get_rng_state()
    first, again, other = (eigsh(operator, 4, tol=1e-6, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.vectors, again.vectors)
    assert not torch.equal(first.vectors, other.vectors)
    torch.testing.assert_close(first.vectors, other.vectors, rtol=0, atol=1e-5)


@pytest.mark.parametrize("columns", [1, 4])
def test_warm_start_saves_products(operator_with, columns):
    operator = operator_with(loss_hessian_like(1000))
    cold = eigsh(operator, 4, tol=1e-8)
    start = cold.vectors.sum(1) if columns == 1 else cold.vectors
    warm = eigsh(operator, 4, tol=1e-8, v0=start)
    assert warm.num_products < cold.num_products
    torch.testing.assert_close(warm.values, cold.values, rtol=1e-8, atol=0)


def test_misleading_start_vector_does_no_harm(operator_of):
    """An exact eigenvector of the wrong end spans an invariant subspace by itself."""
    operator = operator_of(torch.diag(torch.linspace(0, 5, 100, dtype=torch.float64)))
    v0 = torch.zeros(100, dtype=torch.float64)
    v0[3] = 1.0
    check_pairs(operator, eigsh(operator, 3, tol=1e-8, v0=v0), 3, "LA", 1e-8)


def test_few_products_on_a_loss_hessian():
    """Nine outliers in three tight clusters over a bulk: about what ARPACK takes, residuals too."""
    bulk = np.random.default_rng(0).standard_normal(2991) ** 2 * 0.05
    clusters = np.concatenate([c * (1 + 1e-4 * np.arange(3)) for c in (10, 6, 3)])
    diagonal = torch.tensor(np.concatenate([clusters, bulk]))

    class Diagonal(MatrixOperator):
        def __matmul__(self, vectors):
            return torch.einsum("i,i...->i...", self.matrix, vectors)

    operator = Diagonal(diagonal)
    operator.shape = (3000, 3000)
    pairs = eigsh(operator, 9, tol=1e-6)
    assert pairs.num_products <= 50
    torch.testing.assert_close(
        pairs.values, torch.tensor(np.sort(clusters)[::-1].copy()), rtol=1e-10, atol=0
    )


@settings(max_examples=15, deadline=None)
@given(
    scale=st.sampled_from([1e-12, 1.0, 1e12]),
    shift=st.floats(-5, 5),
    seed=st.integers(0, 100),
)
def test_shift_and_scale_move_the_eigenvalues_alone(scale, shift, seed):
    matrix = symmetric_matrix(loss_hessian_like(100))
    moved = scale * (matrix + shift * torch.eye(100, dtype=torch.float64))
    plain = eigsh(MatrixOperator(matrix), 3, tol=1e-10, seed=seed)
    other = eigsh(MatrixOperator(moved), 3, tol=1e-10, seed=seed)
    torch.testing.assert_close(
        other.values, scale * (plain.values + shift), rtol=1e-8, atol=1e-8 * scale
    )
    torch.testing.assert_close(other.vectors, plain.vectors, rtol=0, atol=1e-6)


def test_nan_in_a_product_stops_with_one_error(operator_of):
    matrix = torch.eye(100, dtype=torch.float64)
    matrix[7, 7] = torch.nan
    with pytest.raises(FloatingPointError, match="NaN or infinity"):
        eigsh(operator_of(matrix), 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k must lie between 1 and the dimension D = 60, got 0"),
        ({"k": 61}, "k must lie between 1"),
        ({"which": "LR"}, "which must be one of LA, SA, LM, BE, got 'LR'"),
        ({"tol": 0.0}, "tol must lie"),
        ({"basis_size": 4}, "basis_size must be at least 2k"),
        ({"max_products": 3}, "max_products must be at least"),
        ({"v0": torch.ones(7, dtype=torch.float64)}, "v0 must have shape"),
        ({"v0": torch.zeros(60, dtype=torch.float64)}, "v0 must be finite"),
    ],
)
def test_bad_arguments_are_refused(operator_with, arguments, message):
    with pytest.raises(ValueError, match=message):
        eigsh(operator_with(np.arange(60.0)), **({"k": 3} | arguments))


def test_bad_operators_are_refused(operator_of):
    with pytest.raises(ValueError, match="square"):
        eigsh(operator_of(torch.ones(3, 4)), 1)
    with pytest.raises(TypeError, match=r"float32 or torch\.float64"):
        eigsh(operator_of(torch.eye(3, dtype=torch.bfloat16)), 1)
    with pytest.raises(TypeError, match="must have @"):
        eigsh(object(), 1)
