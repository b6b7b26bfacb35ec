"""Bases of a hyperplane: linear maps with an adjoint, orthonormal as far as they say."""

import numpy as np
import pytest
import scipy.linalg
import torch

from landscope.hyperplanes import BasisKind, draw_basis, given_basis
from landscope.hyperplanes.walsh_hadamard import walsh_hadamard
from landscope.testing import OperatorConformance, check_operator

DENSE, GAUSSIAN = BasisKind.DENSE, BasisKind.GAUSSIAN
SPARSE, FASTFOOD, GIVEN = BasisKind.SPARSE, BasisKind.FASTFOOD, BasisKind.GIVEN
RANDOM = [DENSE, GAUSSIAN, SPARSE, FASTFOOD]
DTYPES = [torch.float64, torch.float32]

# D and d: one column, a power of two or not, D a multiple of a fastfood block or not, d near D.
SHAPES = {
    DENSE: [(1, 1), (130, 1), (100, 7), (96, 90), (64, 64), (1000, 32)],
    GAUSSIAN: [(1, 1), (100, 7), (96, 90)],
    SPARSE: [(1, 1), (130, 1), (100, 7), (96, 90), (64, 64), (1000, 32)],
    FASTFOOD: [(1, 1), (20, 3), (130, 1), (257, 33), (300, 64), (1000, 100), (128, 128)],
    GIVEN: [(1, 1), (100, 7), (96, 90), (64, 64)],
}
CASES = [(kind, *shape) for kind, shapes in SHAPES.items() for shape in shapes]
EXACT = [case for case in CASES if case[0] is not GAUSSIAN]


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def orthonormal_columns(num_params, dim, seed=0):
    return torch.from_numpy(np.linalg.qr(normal(num_params, dim, seed=seed).numpy())[0])


def basis_of(kind, num_params, dim, dtype=torch.float64, seed=3):
    if kind is GIVEN:
        return given_basis(orthonormal_columns(num_params, dim, seed).to(dtype))
    return draw_basis(kind, num_params, dim, seed, dtype)


def deviation(P):
    """‖PᵀP − I‖₂ in float64."""
    dense = P.to_dense().double()
    gram = dense.T @ dense
    return float(torch.linalg.matrix_norm(gram - torch.eye(len(gram)).double(), 2))


def explicit_fastfood(P):
    """V (VᵀV)^{-1/2} E_d, V of blocks H S H S H S one above the other, from P's own signs."""
    signs = P._signs.double()
    D, n = P.shape[0], signs.shape[2]
    H = torch.from_numpy(scipy.linalg.hadamard(n)).double() / n**0.5
    blocks = [H @ S[2].diag() @ H @ S[1].diag() @ H @ S[0].diag() for S in signs]
    V = torch.cat(blocks)[:D]
    values, vectors = torch.linalg.eigh(V.T @ V)
    root = vectors @ values.rsqrt().diag() @ vectors.T
    return torch.roll(V @ root[:, : P.shape[1]], P._shift, 0)


def explicit_sparse(P):
    """One signed entry to a row, column by column in P's own order of the weights."""
    dense = torch.zeros(P.shape, dtype=torch.float64)
    for place, weight in enumerate(P._order.tolist()):
        dense[weight, place % P.shape[1]] = float(P._signs[place])
    return dense / dense.square().sum(0).sqrt()


def reference_of(kind, num_params, dim, dtype):
    """The matrix in float64, computed in another way; None where only P itself knows it."""
    wide = basis_of(kind, num_params, dim)
    if kind is GIVEN:
        return orthonormal_columns(num_params, dim, seed=3)
    if kind is FASTFOOD:
        return explicit_fastfood(wide)
    if kind is SPARSE:
        return explicit_sparse(wide)
    return None if dtype == torch.float64 else wide.to_dense()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "num_params", "dim"), CASES)
def test_every_basis_is_a_sound_operator(kind, num_params, dim, dtype):
    P = basis_of(kind, num_params, dim, dtype)
    assert P.shape == (num_params, dim)
    rtol = 1e-12 if dtype == torch.float64 else 1e-5
    check_operator(P, reference_of(kind, num_params, dim, dtype), rtol=rtol)


class TestFastfood(OperatorConformance):
    def operator(self):
        return basis_of(FASTFOOD, 257, 33)

    def dense(self):
        return explicit_fastfood(self.operator())


class TestSparse(OperatorConformance):
    def operator(self):
        return basis_of(SPARSE, 100, 7)

    def dense(self):
        return explicit_sparse(self.operator())


class TestGivenTransposed(OperatorConformance):
    def operator(self):
        return basis_of(GIVEN, 40, 6, torch.float32).T

    def dense(self):
        return orthonormal_columns(40, 6, seed=3).T


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "num_params", "dim"), EXACT)
def test_columns_are_orthonormal_to_rounding(kind, num_params, dim, dtype):
    assert deviation(basis_of(kind, num_params, dim, dtype)) < (
        1e-13 if dtype == torch.float64 else 3e-6
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "num_params", "dim"), [*CASES, (GAUSSIAN, 1000, 10)])
def test_the_bound_on_orthonormality_holds(kind, num_params, dim, dtype):
    for seed in range(3):
        P = basis_of(kind, num_params, dim, dtype, seed=seed)
        # The reference has roundings of its own: of an eigenvalue of PᵀP in float64.
        assert deviation(P) <= P.orthonormality_bound + 1e-14
        if kind is not GAUSSIAN:
            assert P.orthonormality_bound < 1e-4


def test_the_bound_of_given_float32_vectors_is_no_less_than_their_deviation():
    for seed in range(40):
        P = given_basis(orthonormal_columns(50, 1, seed).float())
        # Columns were rounded to 6e-8 of their length: what is off by less is not to be seen.
        assert deviation(P) <= P.orthonormality_bound + 1e-10, f"seed {seed}"


def test_the_bound_of_a_gaussian_basis_is_not_idle():
    # Singular values of a Gaussian matrix fill √D ± √d: ‖PᵀP − I‖ is 2√(d/D) + d/D.
    D, d = 20_000, 32
    bounds = [basis_of(GAUSSIAN, D, d, seed=seed).orthonormality_bound for seed in (0, 1)]
    found = [deviation(basis_of(GAUSSIAN, D, d, seed=seed)) for seed in (0, 1)]
    expected = 2 * (d / D) ** 0.5 + d / D
    assert all(0.8 * expected < value < 1.1 * expected for value in found)
    assert all(value < bound < 5 * value for value, bound in zip(found, bounds, strict=True))


@pytest.mark.parametrize("kind", [*RANDOM, GIVEN])
def test_the_adjoint_in_float32_of_long_vectors(kind):
    P = basis_of(kind, 20_000, 32, torch.float32)
    for seed in range(3):
        x, y = normal(32, seed=seed).float(), normal(20_000, seed=10 + seed).float()
        image, back = (P @ x).double(), (P.T @ y).double()
        gap = abs(float(image @ y.double() - x.double() @ back))
        assert gap <= 1e-6 * float(image.norm() * y.double().norm())


@pytest.mark.parametrize("kind", RANDOM)
def test_the_seed_decides(kind):
    first, again, other = (draw_basis(kind, 300, 20, seed).to_dense() for seed in (5, 5, 6))
    assert torch.equal(first, again)
    # Independent hyperplanes: entries of PᵀP' of size 1/√D, 20 × 20 of them.
    overlap = float((first.T @ other).norm() / 20)
    assert 0.5 < overlap * 300**0.5 < 1.5


@pytest.mark.parametrize("kind", RANDOM)
def test_seeds_beyond_32_bits_are_other_seeds(kind):
    first, other = (draw_basis(kind, 300, 20, seed).to_dense() for seed in (5, 5 + 2**32))
    assert float((first.T @ other).norm() / 20) * 300**0.5 < 1.5


@pytest.mark.parametrize("kind", RANDOM)
def test_a_seed_that_torch_was_given_too_ties_the_basis_to_nothing(kind):
    # Weights drawn after torch.manual_seed(s) must not lie in the hyperplane of seed s.
    weights = torch.randn(1000, generator=torch.Generator().manual_seed(5))
    share = float((draw_basis(kind, 1000, 5, seed=5).T @ weights).norm() / weights.norm())
    assert share < 3 * (5 / 1000) ** 0.5


@pytest.mark.parametrize(
    ("kind", "num_params", "dim"), [case for case in CASES if case[0] is not GIVEN]
)
def test_the_same_hyperplane_in_both_dtypes(kind, num_params, dim):
    narrow = basis_of(kind, num_params, dim, torch.float32).to_dense().double()
    wide = basis_of(kind, num_params, dim, torch.float64).to_dense()
    assert float((narrow - wide).norm() / wide.norm()) < 1e-5


@pytest.mark.parametrize("kind", RANDOM)
def test_the_random_state_of_torch_is_left_alone(kind):
    before = torch.get_rng_state()
    P = draw_basis(kind, 100, 7, seed=1)
    P.T @ (P @ torch.ones(7))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("kind", "constant"),
    [(SPARSE, "sparse._ENTRIES_AT_ONCE"), (FASTFOOD, "fastfood._ENTRIES_AT_ONCE")],
)
@pytest.mark.parametrize(("num_params", "dim"), [(1000, 10), (257, 33), (130, 1)])
def test_a_product_in_many_stretches(kind, constant, num_params, dim, monkeypatch):
    whole = basis_of(kind, num_params, dim).to_dense()
    monkeypatch.setattr(f"landscope.hyperplanes.{constant}", 100)
    check_operator(basis_of(kind, num_params, dim), whole, rtol=1e-13)


@pytest.mark.parametrize("kind", [*RANDOM, GIVEN])
def test_a_block_is_its_columns(kind):
    P = basis_of(kind, 300, 20)
    theta, weights = normal(20, 4), normal(300, 4)
    images = torch.stack([P @ column for column in theta.T], dim=1)
    adjoint_images = torch.stack([P.T @ column for column in weights.T], dim=1)
    torch.testing.assert_close(P @ theta, images, rtol=0, atol=1e-13)
    torch.testing.assert_close(P.T @ weights, adjoint_images, rtol=0, atol=1e-13)


@pytest.mark.parametrize("order", [2**power for power in range(12)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_walsh_hadamard_against_scipy(order, dtype):
    H = torch.from_numpy(scipy.linalg.hadamard(order)).double() / order**0.5
    x = normal(2, 3, order).to(dtype)
    image = walsh_hadamard(x)
    assert (image.shape, image.dtype) == (x.shape, dtype)
    error = (image.double() - x.double() @ H).norm() / x.double().norm()
    assert error < (1e-14 if dtype == torch.float64 else 1e-6)


def test_a_long_walsh_hadamard_transform():
    # Of order 2^13, three factors: an entry is (−1)^(number of bits that i and j share)/√n.
    n = 2**13
    for j in (0, 1, 5000, n - 1):
        unit = torch.zeros(n, dtype=torch.float64)
        unit[j] = 1
        expected = [(-1) ** (i & j).bit_count() / n**0.5 for i in range(n)]
        torch.testing.assert_close(
            walsh_hadamard(unit), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-15
        )


@pytest.mark.parametrize(
    ("num_params", "dim"), [(20, 3), (64, 10), (130, 1), (257, 33), (1000, 100), (383, 128)]
)
def test_fastfood_against_an_explicit_matrix(num_params, dim):
    P = basis_of(FASTFOOD, num_params, dim)
    torch.testing.assert_close(P.to_dense(), explicit_fastfood(P), rtol=0, atol=1e-13)


def test_each_weight_of_fastfood_follows_all_of_theta():
    # Entries of a block of H S H S H S are of size 1/√n, few of them zero.
    entries = basis_of(FASTFOOD, 1000, 100).to_dense()
    assert float((entries == 0).double().mean()) < 0.1
    assert float(entries.abs().max()) < 6 / 1000**0.5


@pytest.mark.parametrize(("num_params", "dim"), [(96, 90), (65, 65), (118, 118), (3, 3)])
def test_fastfood_blocks_must_fit(num_params, dim):
    with pytest.raises(ValueError, match=rf"dim is {dim}; .* blocks of \d+ rows"):
        draw_basis(FASTFOOD, num_params, dim, seed=0)


@pytest.mark.parametrize(("num_params", "dim"), [(100, 7), (96, 90), (64, 64), (1001, 250)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_columns_of_a_sparse_basis_share_out_the_weights(num_params, dim, dtype):
    entries = basis_of(SPARSE, num_params, dim, dtype).to_dense()
    assert bool(((entries != 0).sum(1) == 1).all())  # each weight in one support
    sizes = (entries != 0).sum(0)
    assert int(sizes.max() - sizes.min()) <= 1
    torch.testing.assert_close(
        entries.abs().sum(1), sizes[entries.abs().argmax(1)].to(dtype).rsqrt()
    )


def test_signs_and_supports_of_a_sparse_basis_are_random():
    entries = basis_of(SPARSE, 4000, 4).to_dense()
    assert abs(float(entries.sign().sum())) < 4 * 4000**0.5
    # Of 3999 neighbouring weights a quarter share a column.
    column = entries.abs().argmax(1)
    shared = int((column[1:] == column[:-1]).sum())
    assert abs(shared - 3999 / 4) < 4 * (3999 * 3 / 16) ** 0.5


@pytest.fixture
def short_blocks(monkeypatch):
    """Gaussian bases of 91 rows to a block where d = 7."""
    monkeypatch.setattr("landscope.hyperplanes.gaussian._ENTRIES_PER_BLOCK", 640)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.usefixtures("short_blocks")
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gaussian_basis_in_many_blocks(dtype):
    P = basis_of(GAUSSIAN, 1000, 7, dtype)
    wide = basis_of(GAUSSIAN, 1000, 7).to_dense()
    check_operator(P, wide, rtol=1e-12 if dtype == torch.float64 else 1e-5)
    first, second = wide[:91], wide[91:182]
    # 637 independent products of two entries, each of variance 1/D².
    assert abs(float((first * second).sum())) * 1000 < 4 * 637**0.5


@pytest.mark.usefixtures("short_blocks")
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gaussian_basis_does_not_depend_on_threads(dtype, threads):
    theta, weights = normal(7).to(dtype), normal(1000, 3).to(dtype)
    results = []
    for count in (1, 2, 5):
        threads(count)
        P = basis_of(GAUSSIAN, 1000, 7, dtype)
        results.append((P.to_dense(), P @ theta, P.T @ weights))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_moments_of_a_gaussian_basis(dtype):
    D, d = 20_000, 16
    entries = D**0.5 * basis_of(GAUSSIAN, D, d, dtype).to_dense().double()
    N = D * d
    lengths = entries.square().mean(0).sqrt()
    assert float((lengths - 1).abs().max()) < (1e-12 if dtype == torch.float64 else 1e-6)
    # Standard normal: the mean has the variance 1/N, that of rows 2/d, the kurtosis 24/N.
    assert abs(float(entries.mean())) < 4 / N**0.5
    assert abs(float(entries.pow(3).mean())) < 4 * (15 / N) ** 0.5
    assert abs(float(entries.pow(4).mean()) - 3) < 4 * (24 / N) ** 0.5
    halves = [float(half.square().mean()) for half in entries.split(D // 2)]
    assert abs(halves[0] - halves[1]) < 4 * (4 / (N / 2)) ** 0.5
    # Columns are independent: √D times their inner products is standard normal, 120 of them.
    products = (entries.T @ entries / D**0.5)[tuple(torch.triu_indices(d, d, 1))]
    assert float(products.abs().max()) < 4.5
    assert abs(float(products.square().mean()) - 1) < 4 * (2 / len(products)) ** 0.5


@pytest.mark.parametrize("kind", RANDOM)
@pytest.mark.parametrize("dim", [0, -1, 101, True])
def test_dimensions_out_of_range(kind, dim):
    with pytest.raises(ValueError, match=r"dim is .*; it must be an integer from 1 to D = 100"):
        draw_basis(kind, 100, dim, seed=0)


def test_a_random_square_basis_is_never_called_dependent():
    # The last pivot of this Gaussian matrix happens to be small.
    assert deviation(draw_basis(DENSE, 100, 100, 35228)) < 1e-5
