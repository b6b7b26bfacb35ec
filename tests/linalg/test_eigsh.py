import warnings
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from landscope.linalg import ConvergenceWarning, eigsh

from .conftest import DiagonalOperator, MatrixOperator, symmetric_matrix


def expected(matrix, k, which):
    return wanted(torch.linalg.eigvalsh(matrix.double()), k, which)


def wanted(values, k, which):
    """Of ascending eigenvalues those that are asked for, in the order they are returned."""
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


@pytest.mark.parametrize(
    ("tol", "gap"),
    [
        pytest.param(tol, gap, marks=() if (tol < 1e-3) != (gap == 1e-4) else pytest.mark.slow)
        for tol in (1e-3, 1e-10)
        for gap in (0.0, 1e-4, 1e-2)
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_finds_clusters_and_multiplicities(operator_with, gap, tol):
    clusters = [c * (1 + gap * copy) for c in (10, 6, 3) for copy in range(3)]
    bulk = np.random.default_rng(0).uniform(0, 1, 291)
    operator = operator_with(np.concatenate([clusters, bulk]))
    for k in (2, 4, 9):
        operator.num_products = 0
        check_pairs(operator, eigsh(operator, k, tol=tol), k, "LA", tol)


@pytest.mark.usefixtures("unchecked")
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


def multiples(dim=90):
    return np.concatenate([[5, 5, 5, 3, 3, -4, -4], np.linspace(0, 1, dim - 7)])


@pytest.mark.parametrize(
    ("k", "which"),
    [
        pytest.param(k, which, marks=() if which in also else pytest.mark.slow)
        for k, also in {1: {"LA", "BE"}, 2: {}, 5: {"SA", "LM"}}.items()
        for which in ("LA", "SA", "LM", "BE")
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_converged_says_that_the_search_has_ended(operator_with, which, k):
    """Wherever the products run out, also while missed copies are looked for."""
    operator = operator_with(multiples())
    reference = expected(operator.matrix, k, which)
    converged = []
    for most in (*range(2 * k + 1, 74, 6), 74):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", ConvergenceWarning)
            pairs = eigsh(operator, k, which=which, tol=1e-3, max_products=most)
        converged.append(pairs.converged)
        assert len(said) == (not pairs.converged)
        assert pairs.num_products <= most
        if pairs.converged:
            errors = operator.matrix @ pairs.vectors - pairs.vectors * pairs.values
            assert errors.norm(dim=0).max() <= 1e-3 * 5
            torch.testing.assert_close(pairs.values, reference, rtol=0, atol=2e-3 * 5)
    assert converged[-1]
    assert not converged[0]


@pytest.mark.usefixtures("unchecked")
def test_products_that_run_out_while_copies_are_looked_for_are_said(operator_with):
    operator = operator_with(multiples())
    said = set()
    for most in range(11, 75, 8):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            pairs = eigsh(operator, 5, tol=1e-3, max_products=most)
        said |= {"ruled out" in str(warning.message) for warning in caught}
        assert pairs.converged == (not caught)
    assert said == {True, False}


@cache
def plain_eigenpairs(which, dtype, dim):
    """At scale one, for every other scale."""
    return eigsh(MatrixOperator(symmetric_matrix(multiples(dim)).to(dtype)), 4, which=which)


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [
        (1e-200, torch.float64),
        (1e200, torch.float64),
        (1e-300, torch.float64),
        (1e-25, torch.float32),
        (1e25, torch.float32),
    ],
)
@pytest.mark.parametrize(("dim", "which"), [(30, "BE"), (30, "LA"), (100, "SA"), (100, "LM")])
def test_scale_changes_the_unit_alone(operator_with, which, scale, dtype, dim):
    scaled = operator_with(scale * multiples(dim), dtype=dtype)
    ours, theirs = eigsh(scaled, 4, which=which), plain_eigenpairs(which, dtype, dim)
    assert ours.converged
    rounding = 1e3 * torch.finfo(dtype).eps
    torch.testing.assert_close(ours.values / scale, theirs.values, rtol=0, atol=5 * rounding)
    matrix, vectors = scaled.matrix.double() / scale, ours.vectors.double()
    errors = (matrix @ vectors - vectors * (ours.values / scale)).norm(dim=0)
    assert errors.max() <= 1e-4 * 5
    torch.testing.assert_close(ours.residuals / scale, errors, rtol=1e-3, atol=rounding)


@pytest.mark.parametrize(
    ("k", "which", "columns"),
    [(1, "LA", [3]), (1, "SA", [50]), (1, "LM", [5]), (2, "BE", [30, 40]), (2, "LA", [3, 4])],
)
def test_exact_eigenvectors_of_other_values_mislead_nobody(operator_of, k, which, columns):
    """A Krylov space from them holds nothing else, and their residuals are zero."""
    values = torch.linspace(0, 5, 100, dtype=torch.float64)
    start = torch.eye(100, dtype=torch.float64)[:, columns]
    pairs = eigsh(operator_of(torch.diag(values)), k, which=which, tol=1e-4, v0=start)
    assert pairs.converged
    torch.testing.assert_close(pairs.values, wanted(values, k, which), rtol=0, atol=5e-4)


@pytest.mark.usefixtures("unchecked")
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


@cache
def change_of_norm_one(dim):
    return symmetric_matrix(np.linspace(-1, 1, dim), seed=1)


def next_step(matrix, size):
    """The operator after a small step: a symmetric change of a given norm; ‖A‖ is near 10."""
    return matrix + size * 10 * change_of_norm_one(len(matrix))


@pytest.mark.parametrize(
    ("clustered", "change", "share"),
    [
        pytest.param(clustered, change, share, marks=marks)
        for change, share, plain in ((3e-4, 0.85, True), (3e-3, 1.0, False), (3e-2, 1.1, True))
        for clustered, marks in ((not plain, ()), (plain, pytest.mark.slow))
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_warm_start_after_a_small_step(operator_with, operator_of, change, share, clustered):
    """It saves products, the fewer the longer the step; rounding may decide about one of them."""
    eigenvalues = loss_hessian_like(1000)
    if clustered:
        eigenvalues[:9] = [c * (1 + 1e-4 * copy) for c in (10, 6, 3) for copy in range(3)]
    before = operator_with(eigenvalues)
    operator = operator_of(next_step(before.matrix, change))
    earlier = eigsh(before, 9, tol=1e-3).vectors
    cold = eigsh(operator, 9, tol=1e-3)
    operator.num_products = 0
    warm = eigsh(operator, 9, tol=1e-3, v0=earlier)
    check_pairs(operator, warm, 9, "LA", 1e-3)
    assert warm.num_products < share * cold.num_products


def test_warm_start_still_finds_what_has_come_up(operator_with, operator_of):
    """Eigenvectors that were right before, and a new largest eigenvalue, twice."""
    before = operator_with(loss_hessian_like(500))
    vectors = torch.linalg.eigh(before.matrix).eigenvectors
    hidden = vectors[:, 100:102]
    operator = operator_of(before.matrix + 12 * hidden @ hidden.T)
    pairs = eigsh(operator, 5, tol=1e-6, v0=vectors[:, -5:])
    check_pairs(operator, pairs, 5, "LA", 1e-6)


def test_coarse_operator_saves_products(operator_with, operator_of):
    coarse = operator_with(loss_hessian_like(1000))
    operator = operator_of(next_step(coarse.matrix, 1e-2))
    cold = eigsh(operator, 10, tol=1e-3)
    operator.num_products = 0
    staged = eigsh(operator, 10, tol=1e-3, coarse=coarse)
    errors = operator.matrix @ staged.vectors - staged.vectors * staged.values
    assert errors.norm(dim=0).max() <= 1e-3 * 11
    torch.testing.assert_close(staged.values[:9], cold.values[:9], rtol=0, atol=1e-4)
    assert staged.num_products < 0.9 * cold.num_products


def test_block_products_have_the_width_that_the_operator_names(operator_with):
    class Blocked(MatrixOperator):
        block_size = 4

        def __matmul__(self, vectors):
            widths.append(1 if vectors.ndim == 1 else vectors.shape[1])
            return super().__matmul__(vectors)

    widths = []
    matrix = operator_with(loss_hessian_like()).matrix
    eigsh(Blocked(matrix), 9, tol=1e-3, v0=torch.linalg.eigh(matrix).eigenvectors[:, -9:])
    assert widths[:4] == [1, 4, 4, 1]
    widths.clear()
    eigsh(Blocked(matrix[:30, :30].contiguous()), 3)
    assert widths == [4] * 7 + [2]


class Changing(MatrixOperator):
    """Another matrix at every product: what a network with dropout would give."""

    def __matmul__(self, vectors):
        noise = 0.01 * torch.sin(self.num_products + torch.arange(len(self.matrix))).double()
        return super().__matmul__(vectors) + noise.reshape(-1, *[1] * (vectors.ndim - 1))


@pytest.mark.usefixtures("unchecked")
def test_residuals_of_an_operator_that_changes_are_not_believed(operator_with):
    operator = Changing(operator_with(loss_hessian_like()).matrix)
    with pytest.warns(ConvergenceWarning, match="residuals"):
        pairs = eigsh(operator, 5, tol=1e-6, max_products=100)
    assert not pairs.converged
    assert pairs.residuals.max() > 1e-3


def test_misleading_start_vector_does_no_harm(operator_of):
    """An exact eigenvector of the wrong end spans an invariant subspace by itself."""
    operator = operator_of(torch.diag(torch.linspace(0, 5, 100, dtype=torch.float64)))
    v0 = torch.zeros(100, dtype=torch.float64)
    v0[3] = 1.0
    check_pairs(operator, eigsh(operator, 3, tol=1e-8, v0=v0), 3, "LA", 1e-8)


def bulk(count):
    """Quantiles of a Marchenko–Pastur law with edge 1, and the zeros of a matrix of low rank."""
    x = np.linspace(0.001, 0.999, 4001)
    mass = np.cumsum(np.sqrt((1 - x) / x))
    nonzero = np.interp((np.arange(count // 3) + 0.5) / (count // 3), mass / mass[-1], x)
    return np.concatenate([nonzero, np.zeros(count - count // 3)])


def clusters(gap):
    return np.concatenate([c * (1 + gap * np.arange(3)) for c in (10, 6, 3)])


SPECTRA = {
    "tight clusters": (np.concatenate([clusters(1e-4), bulk(2991)]), 9, "LA", 30),
    "exact multiples": (np.concatenate([clusters(0.0), bulk(2991)]), 9, "LA", 40),
    "ten outliers": (np.concatenate([np.geomspace(10, 2, 10), bulk(20_000)]), 10, "LA", 25),
    "outliers and edge": (np.concatenate([np.geomspace(10, 2, 9), bulk(20_000)]), 10, "LA", 50),
    "both signs": (np.concatenate([np.geomspace(10, 2, 9), -bulk(20_000)]), 10, "LM", 50),
    "most negative": (-np.concatenate([np.geomspace(10, 2, 9), bulk(20_000)]), 10, "SA", 50),
    "both ends": (np.concatenate([clusters(0.0), -clusters(0.0), bulk(5000)]), 10, "BE", 60),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_few_products_and_no_copy_missed(name):
    """Residuals to 1e-3 in about as many products as ARPACK, which misses copies (benchmarks)."""
    eigenvalues, k, which, most = SPECTRA[name]
    operator = DiagonalOperator(eigenvalues)
    pairs = eigsh(operator, k, which=which, tol=1e-3)
    assert pairs.converged
    assert operator.num_products == pairs.num_products
    assert pairs.num_products <= 1.25 * most  # rounding decides the step at which it has converged
    reference = wanted(operator.matrix.sort().values, k, which)
    torch.testing.assert_close(pairs.values, reference, rtol=0, atol=1e-3 * 10)


def test_tight_clusters_to_many_digits():
    operator = DiagonalOperator(SPECTRA["tight clusters"][0])
    pairs = eigsh(operator, 9, tol=1e-6)
    reference = torch.tensor(np.sort(clusters(1e-4))[::-1].copy())
    torch.testing.assert_close(pairs.values, reference, rtol=1e-10, atol=0)
    assert pairs.num_products <= 1.25 * 50


@settings(max_examples=4)
@given(
    scale=st.sampled_from([1e-12, 1.0, 1e12]),
    shift=st.floats(-5, 5),
    seed=st.integers(0, 100),
)
@pytest.mark.usefixtures("unchecked")
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
        ({"k": 0}, "k is 0; it must be an integer from 1 to D = 60"),
        ({"k": 61}, "k is 61"),
        ({"which": "LR"}, "which is 'LR'; it must be one of LA, SA, LM, BE"),
        ({"tol": 0.0}, "tol is"),
        ({"basis_size": 4}, "basis_size is 4"),
        ({"max_products": 3}, "max_products is 3"),
        ({"v0": torch.ones(7, dtype=torch.float64)}, "v0 is a Tensor of shape"),
        ({"v0": torch.zeros(60, dtype=torch.float64)}, "v0 has NaN, infinity or"),
        ({"v0": torch.ones(60, 30, dtype=torch.float64)}, "v0 must have 1 to 20 columns"),
        ({"coarse": torch.ones(3, 3)}, "coarse must have A's shape"),
        ({"coarse": torch.ones(60, 60), "v0": torch.ones(60)}, "give one of them"),
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
