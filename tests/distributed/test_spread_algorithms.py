"""The algorithms of linalg on vectors over several processes, against one process."""

import warnings

import pytest
import torch
import torch.distributed as dist

from landscope.distributed import RankError, Ranks, Shards
from landscope.linalg import (
    ShardedSpace,
    diagonal,
    eigsh,
    frobenius_norm,
    spectral_density,
    trace,
    wasserstein_distance,
)
from landscope.linalg.krylov import KrylovSubspace
from landscope.linalg.product import CountedProduct
from tests.distributed.processes import SIZES, on_ranks
from tests.distributed.slices import (
    KINDS,
    OPERATORS,
    SPREADS,
    dense_operator,
    joined,
    operator_on,
)
from tests.linalg.conftest import DiagonalOperator


def on_spread(size, spread, kind, function, *arguments):
    """What function(operator, ...) gives on each process: (entries held, result)."""
    return on_ranks(size, _on_operator, kind, SPREADS[spread], function, arguments)


def _on_operator(group, kind, shapes, function, arguments):
    operator = operator_on(group, kind, shapes)
    return operator.entries, function(operator, *arguments)


def compare(found, expected, tolerance=1e-10):
    """All processes give these small results."""
    for _, result in found:
        for actual, reference in zip(result, expected, strict=True):
            torch.testing.assert_close(actual, reference, rtol=tolerance, atol=tolerance)


def _pairs(A, k, which, storage="device"):
    pairs = eigsh(A, k, which, 1e-11, basis_size=16, storage=storage)
    warm = eigsh(A, k, which, 1e-9, basis_size=16, v0=pairs.vectors)
    return pairs, warm.values, warm.num_products


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("spread", "which", "k", "storage"),
    [
        ("equal", "LA", 4, "device"),
        ("unequal", "LM", 4, "disk"),
        ("tensors", "BE", 5, "host"),
        ("unequal", "SA", 1, "device"),
    ],
)
def test_eigenpairs(size, kind, spread, which, k, storage):
    expected, warm, num_products = _pairs(dense_operator(SPREADS[spread]), k, which)
    found = on_spread(size, spread, kind, _pairs, k, which, storage)
    for _, (pairs, warm_values, products) in found:
        torch.testing.assert_close(pairs.values, expected.values, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(pairs.residuals, expected.residuals, rtol=0, atol=1e-10)
        torch.testing.assert_close(warm_values, warm, rtol=1e-10, atol=1e-10)
        assert pairs.converged
        # Sums in another order round differently, and so may converge a few steps later.
        assert pairs.num_products == pytest.approx(expected.num_products, rel=0.25)
        assert products == pytest.approx(num_products, rel=0.25, abs=4)
        assert torch.equal(pairs.values, found[0][1][0].values)
    A = dense_operator(SPREADS[spread]).matrix
    vectors = joined([(entries, result[0].vectors) for entries, result in found], len(A))
    assert (A @ vectors - vectors * expected.values).norm(dim=0).max() < 1e-9
    simple = (expected.values[:, None] - expected.values).abs().fill_diagonal_(1).min(
        0
    ).values > 1e-3
    torch.testing.assert_close(vectors[:, simple], expected.vectors[:, simple], rtol=0, atol=1e-10)
    torch.testing.assert_close(
        vectors[:, ~simple] @ vectors[:, ~simple].T,
        expected.vectors[:, ~simple] @ expected.vectors[:, ~simple].T,
        rtol=0,
        atol=1e-10,
    )


def _whole_matrix(A):
    """Small enough to be diagonalised as a whole."""
    pairs = eigsh(A, 3, "BE", basis_size=A.shape[0])
    return pairs.values, pairs.residuals, torch.tensor(trace(A, A.shape[0]))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", OPERATORS)
def test_a_matrix_that_is_built_as_a_whole(size, kind):
    expected = _whole_matrix(dense_operator(SPREADS["unequal"]))
    compare(on_spread(size, "unequal", kind, _whole_matrix), expected)


def _density(A, deflate, storage):
    known = eigsh(A, 3, "LM", 1e-11, basis_size=16) if deflate == "pairs" else deflate
    density = spectral_density(A, 2, 12, num_grid=60, deflate=known, storage=storage)
    low, high = density.interval()
    distance = torch.tensor(wasserstein_distance(density, torch.linspace(0, 1, 50).double()))
    return (
        density.grid, density.density, low, high, distance,
        torch.tensor([density.mass(0.2, 0.7), density.quantile(0.4), density.num_products]),
    )  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("spread", "deflate", "storage"),
    [("equal", 0, "device"), ("unequal", "converged", "disk"), ("tensors", "pairs", "host")],
)
def test_density(size, kind, spread, deflate, storage):
    expected = _density(dense_operator(SPREADS[spread]), deflate, "device")
    compare(on_spread(size, spread, kind, _density, deflate, storage), expected)


def _density_of_outliers_found(A):
    density = spectral_density(A, 2, 12, num_grid=60, deflate=4)
    more = spectral_density(A, None, 12, num_grid=60, deflate=4, rtol=0.04)
    return density.density, more.density, torch.tensor(more.num_probes)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_density_with_outliers_found_and_probes_added(size):
    expected = _density_of_outliers_found(dense_operator(SPREADS["unequal"]))
    compare(on_spread(size, "unequal", "sharded", _density_of_outliers_found), expected, 1e-8)


def _estimates(A):
    methods = ("xtrace", "hutch++", "hutchinson")
    estimates = [trace(A, method=method) for method in methods]
    estimates += [frobenius_norm(A), trace(A, rtol=0.01), frobenius_norm(A, rtol=0.03)]
    numbers = torch.tensor([[x, x.stderr, x.dof, x.num_products] for x in estimates]).double()
    return numbers, diagonal(A)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("kind", KINDS)
def test_estimates(size, spread, kind):
    numbers, diag = _estimates(dense_operator(SPREADS[spread]))
    found = on_spread(size, spread, kind, _estimates)
    compare([(entries, result[:1]) for entries, result in found], [numbers])
    for name in ("values", "stderr"):
        parts = [(entries, getattr(result[1], name)) for entries, result in found]
        expected = getattr(diag, name)
        torch.testing.assert_close(joined(parts, len(expected)), expected, rtol=0, atol=1e-10)


def _single_precision(group, kind):
    A = operator_on(group, kind, SPREADS["unequal"], torch.float32)
    return eigsh(A, 4, "LM", 1e-5, basis_size=16).values, spectral_density(A, 2, 12).density


@pytest.mark.parametrize("kind", KINDS)
def test_float32(kind):
    A = dense_operator(SPREADS["unequal"], torch.float32)
    expected = eigsh(A, 4, "LM", 1e-5, basis_size=16).values, spectral_density(A, 2, 12).density
    compare([((), found) for found in on_ranks(4, _single_precision, kind)], expected, 1e-3)


class SlicedDiagonal(DiagonalOperator):
    """Each process multiplies its own entries: no communication of its own."""

    def __init__(self, eigenvalues, ranks):
        super().__init__(eigenvalues[ranks.chunk(len(eigenvalues))])
        dim = len(eigenvalues)
        self.shape = (dim, dim)
        self.space = ShardedSpace(Shards.of_vector(dim, ranks), self.dtype, "cpu", ranks)


def _sums_per_step(group):
    A = SlicedDiagonal(torch.linspace(0, 1, 1000).double(), Ranks(group))
    krylov = KrylovSubspace(CountedProduct(A), 60)
    krylov.add(A.space.random(1, torch.Generator().manual_seed(0)) / 1000**0.5)
    sizes, all_reduce = [], dist.all_reduce

    def counted(tensor, *arguments, **options):
        sizes[-1].append(tensor.numel())
        return all_reduce(tensor, *arguments, **options)

    dist.all_reduce = counted
    try:
        for _ in range(50):
            sizes.append([])
            krylov.expand()
    finally:
        dist.all_reduce = all_reduce
    return sizes


@pytest.mark.parametrize("size", SIZES)
def test_a_lanczos_step_takes_four_small_sums(size):
    """Length of the product, the two neighbours, the whole basis, length of the rest."""
    for sizes in on_ranks(size, _sums_per_step):
        for step, counts in enumerate(sizes[1:], start=2):
            assert len(counts) == 4
            assert max(counts) == step + 1  # the basis, and a length


def _not_finite(group, entry):
    ranks = Ranks(group)
    eigenvalues = torch.linspace(0, 1, 300).double()
    eigenvalues[entry] = torch.nan
    A = SlicedDiagonal(eigenvalues, ranks)
    for measure in (lambda: eigsh(A, 2), lambda: trace(A), lambda: spectral_density(A, 2, 5)):
        with pytest.raises(FloatingPointError, match="contains NaN or infinity"):
            measure()
    return ranks.total(torch.ones(1)).item()  # nobody is left behind


def test_a_product_that_is_not_finite_on_one_process_ends_all():
    assert on_ranks(4, _not_finite, 160) == [4.0] * 4


class _Large(SlicedDiagonal):
    def __init__(self, dim, ranks):
        super().__init__(torch.full((1,), 1e30), ranks)
        self.shape = (dim, dim)
        self.space = ShardedSpace(Shards.of_vector(dim, ranks), self.dtype, "cpu", ranks)

    def __matmul__(self, vectors):
        return vectors * 1e30


def _large_products(group):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return eigsh(_Large(100, Ranks(group)), 1).values.tolist()


def test_products_whose_squares_overflow_in_float32_are_finite():
    for (value,) in on_ranks(2, _large_products):
        assert value == pytest.approx(1e30, rel=1e-6)


def _coarse(group, kind):
    ranks = Ranks(group)
    A = operator_on(group, "sharded", SPREADS["unequal"])
    coarse = (
        dense_operator(SPREADS["unequal"])
        if kind == "dense"
        else operator_on(group, "sharded", SPREADS["unequal"])
    )
    if kind == "dense":
        with pytest.raises(ValueError, match="coarse must act on vectors that are spread over"):
            eigsh(A, 2, coarse=coarse, basis_size=16)
        return ranks.size
    return eigsh(A, 2, coarse=coarse, basis_size=16, tol=1e-8).values.tolist()


def test_coarse_operators_act_on_slices_too():
    assert on_ranks(2, _coarse, "dense") == [2, 2]
    for values in on_ranks(2, _coarse, "sharded"):
        assert values == pytest.approx([9.0, 8.0])


def _lost(group):
    ranks = Ranks(group)

    class Failing(SlicedDiagonal):
        def __matmul__(self, vectors):
            failed = ranks.rank == 1 and self.num_products == 7
            none = ranks.sum(lambda: 1 / 0 if failed else torch.zeros(1), torch.zeros(1))
            return super().__matmul__(vectors) + none

    with pytest.raises(RankError, match="rank 1 of 2 failed: ZeroDivisionError"):
        eigsh(Failing(torch.linspace(0, 1, 200).double(), ranks), 3)
    return True


def test_an_operator_that_fails_on_one_process_ends_all():
    assert on_ranks(2, _lost) == [True, True]
