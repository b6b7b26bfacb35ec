import pytest
import torch

from landscope.linalg.gaussian_vectors import gaussian_rows
from landscope.linalg.space import DenseSpace, orthogonalise, space_of


def gaussian(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def filled_basis(space, vectors):
    basis = space.basis(vectors.shape[1] + 2)
    for vector in vectors.T:
        basis.append(vector)
    return basis


def test_random_vectors_are_seeded_and_leave_the_global_state_alone():
    space = DenseSpace(50, torch.float32)
    before = torch.get_rng_state()
    first, second = (space.random(3, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, second)
    assert first.shape == (50, 3)
    assert first.dtype == torch.float32


def test_parts_of_long_random_vectors_are_drawn_alone(monkeypatch):
    """Whatever part is asked for, the numbers are those of the whole, and so is what follows."""
    monkeypatch.setattr("landscope.linalg.gaussian_vectors.ENTRIES_PER_DRAW", 1000)
    drawn = []
    for ranges in ([(0, 5500)], [(0, 10), (900, 2100), (5499, 5500)], [(3, 5)], []):
        generator = torch.Generator().manual_seed(5)
        rows = gaussian_rows(2, 5500, ranges, generator, torch.float32)
        drawn.append((ranges, rows, torch.rand(3, generator=generator)))
    (_, whole, following), *parts = drawn
    assert abs(whole.mean()) < 0.03
    assert abs(whole.std() - 1) < 0.03
    assert len(whole.unique()) > 0.99 * whole.numel()  # no chunk is drawn twice
    for ranges, rows, after in parts:
        expected = torch.cat([whole[:, :0], *(whole[:, a:b] for a, b in ranges)], dim=1)
        assert torch.equal(rows, expected)
        assert torch.equal(after, following)


def test_inner_products_of_long_float32_vectors_keep_their_digits():
    space = DenseSpace(2_400_000, torch.float32)
    vector = torch.full((space.dim, 1), 0.1, dtype=torch.float32)
    exact = space.dim * float(vector[0, 0]) ** 2
    assert space.gram(vector, vector).item() == pytest.approx(exact, rel=1e-10)
    assert space.norms(vector).item() == pytest.approx(exact**0.5, rel=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_basis_is_linear_algebra(dtype):
    dim = 40_000  # more than one chunk of rows
    space = DenseSpace(dim, dtype)
    vectors, block = gaussian(dim, 5, dtype=dtype), gaussian(dim, 2, dtype=dtype, seed=1)
    coefficients = gaussian(5, 3, seed=2)
    basis = filled_basis(space, vectors)
    tolerance = {"rtol": 1e-5 if dtype == torch.float32 else 1e-12, "atol": 1e-4}
    assert torch.equal(basis.block(1, 3), vectors[:, 1:3])
    torch.testing.assert_close(basis.gram(block), vectors.T.double() @ block.double(), **tolerance)
    combined = vectors.double() @ coefficients
    torch.testing.assert_close(basis.combine(coefficients).double(), combined, **tolerance)
    basis.rotate(coefficients)
    assert basis.size == 3
    torch.testing.assert_close(basis.block(0, 3).double(), combined, **tolerance)


def test_signs_are_those_of_the_largest_entries():
    block = torch.tensor([[1.0, 2.0], [-3.0, 0.5]])
    assert DenseSpace(2, torch.float32).signs(block).tolist() == [-1.0, 1.0]


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_remainder_of_a_cancellation_is_orthogonal(dtype, rounding):
    space = DenseSpace(300, dtype)
    vectors = torch.linalg.qr(gaussian(300, 6, dtype=dtype)).Q
    basis = filled_basis(space, vectors)
    tiny = 100 * torch.finfo(dtype).eps * gaussian(300, dtype=dtype, seed=2)
    vector = vectors @ torch.ones(6, dtype=dtype) + tiny
    remainder, coefficients, norm = orthogonalise(vector, basis, space, negligible=0.0)
    assert norm == pytest.approx(remainder.double().norm().item())
    assert (vectors.T @ remainder).abs().max() <= rounding * norm
    reassembled = vectors.double() @ coefficients + remainder.double()
    torch.testing.assert_close(reassembled, vector.double(), rtol=0, atol=rounding)


def test_vector_in_the_span_leaves_nothing():
    space = DenseSpace(30, torch.float64)
    vectors = torch.linalg.qr(gaussian(30, 4)).Q
    _, _, norm = orthogonalise(vectors.sum(1), filled_basis(space, vectors), space, 1e-14)
    assert norm == 0


def test_operator_may_name_its_space(operator_with):
    operator = operator_with([1.0, 2.0])
    assert isinstance(space_of(operator), DenseSpace)
    operator.space = DenseSpace(2, torch.float64)
    assert space_of(operator) is operator.space
