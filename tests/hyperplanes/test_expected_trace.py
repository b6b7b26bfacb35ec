"""Tr PᵀAP over many random hyperplanes: its mean for every kind, its scatter for uniform ones."""

import math
from functools import cache

import pytest
import torch

from landscope.hyperplanes import BasisKind, draw_basis, expected_trace
from landscope.linalg import Estimate


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def symmetric(D):
    matrix = normal(D, D, seed=D)
    return (matrix + matrix.T) / 2 + torch.diag(torch.linspace(-1, 3, D, dtype=torch.float64))


def matrices(D):
    """Symmetric matrices that see different faults of a distribution of hyperplanes."""
    return torch.stack(
        [
            symmetric(D),
            torch.ones(D, D, dtype=torch.float64),  # signs that do not cancel
            torch.diag(torch.linspace(0, 1, D, dtype=torch.float64) ** 2),  # late weights
            torch.diag((torch.arange(D) < 4).double()),  # the first few weights
        ]
    )


def traces(kind, D, d, count):
    """Tr PᵀAP for every matrix and every seed, shape (count, 4)."""
    A = matrices(D)
    bases = (draw_basis(kind, D, d, seed, torch.float64).to_dense() for seed in range(count))
    return torch.stack([((A @ P) * P).sum((1, 2)) for P in bases])


@pytest.mark.parametrize(
    ("kind", "D", "d", "count"),
    [
        (BasisKind.DENSE, 70, 5, 150),
        (BasisKind.SPARSE, 70, 5, 150),
        (BasisKind.SPARSE, 64, 20, 150),
        # One block of 64 weights and a rest of 6, two blocks and a rest, one block alone.
        (BasisKind.FASTFOOD, 70, 5, 150),
        (BasisKind.FASTFOOD, 130, 9, 150),
        (BasisKind.FASTFOOD, 64, 20, 150),
        (BasisKind.GAUSSIAN, 70, 5, 60),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_the_mean_over_hyperplanes_of_every_kind(kind, D, d, count):
    found = traces(kind, D, d, count)
    for values, A in zip(found.T, matrices(D), strict=True):
        expected = expected_trace(float(A.trace()), float(A.norm()), D, d)
        assert float(expected) == pytest.approx(d / D * float(A.trace()))
        stderr = float(values.std()) / count**0.5
        # Where nothing scatters (of a sparse basis whose columns are alike), rounding does.
        assert abs(float(values.mean()) - float(expected)) <= 4 * stderr + 1e-10


@cache
def uniform_bases():
    """Of 2000 seeds, D = 30 and d = 4."""
    bases = (draw_basis(BasisKind.DENSE, 30, 4, s, torch.float64).to_dense() for s in range(2000))
    return torch.stack(list(bases))


def uniform_traces():
    A, bases = symmetric(30), uniform_bases()
    return A, 4, ((A @ bases) * bases).sum((1, 2))


@pytest.mark.usefixtures("unchecked")
def test_frames_are_uniform_with_their_signs():
    # Entries of a uniform frame: mean 0, variance 1/D, no correlation of columns; 120 of them.
    bases = uniform_bases()
    z = bases.mean(0) * (30 * len(bases)) ** 0.5
    assert float(z.abs().max()) < 4.5
    squares = bases.square()
    stderr = squares.std(0) / len(bases) ** 0.5
    assert float(((squares.mean(0) - 1 / 30) / stderr).abs().max()) < 4.5
    products = bases[:, :, :3] * bases[:, :, 1:]
    stderr = products.std(0) / len(bases) ** 0.5
    assert float((products.mean(0) / stderr).abs().max()) < 4.5


def test_the_variance_over_uniform_hyperplanes():
    A, d, values = uniform_traces()
    expected = expected_trace(float(A.trace()), float(A.norm()), len(A), d).stderr ** 2
    centred = values - values.mean()
    variance, fourth = float(centred.square().mean()), float(centred.pow(4).mean())
    # The variance of a sample variance is (μ₄ − σ⁴)/n.
    assert abs(variance - expected) < 4 * ((fourth - variance**2) / len(values)) ** 0.5
    assert abs(variance - expected) < 0.15 * expected  # what that comes to


def test_intervals_cover_as_often_as_they_say():
    A, d, values = uniform_traces()
    estimate = expected_trace(float(A.trace()), float(A.norm()), len(A), d)
    for level in (0.5, 0.9, 0.95):
        low, high = estimate.interval(level)
        share = float(((low <= values) & (values <= high)).double().mean())
        # The sampling error of the share, and what the tails differ from Gaussian ones.
        assert abs(share - level) < 4 * (level * (1 - level) / len(values)) ** 0.5 + 0.01


@pytest.mark.parametrize("D", [1, 2, 30])
def test_the_whole_space_scatters_nothing(D):
    A = symmetric(D)
    estimate = expected_trace(float(A.trace()), float(A.norm()), D, D)
    assert estimate.exact
    assert float(estimate) == float(A.trace())


@pytest.mark.parametrize(("D", "d"), [(100, 10), (7, 1), (2, 1), (1, 1)])
def test_the_identity_looks_the_same_from_every_hyperplane(D, d):
    estimate = expected_trace(D, math.sqrt(D), D, d)
    assert float(estimate) == pytest.approx(d)
    # √D² differs from D by rounding, of which the root is taken.
    assert estimate.stderr < 1e-6 * d


def test_a_line_in_the_plane():
    # pᵀ diag(a, b) p = (a + b)/2 + (a − b)/2 cos 2φ, φ uniform: variance (a − b)²/8.
    a, b = 5.0, -1.0
    estimate = expected_trace(a + b, math.hypot(a, b), 2, 1)
    assert float(estimate) == pytest.approx((a + b) / 2)
    assert estimate.stderr**2 == pytest.approx((a - b) ** 2 / 8)


def test_one_direction_is_a_beta_variable():
    # A = e₁e₁ᵀ and d directions: p₁² of a uniform subspace is Beta(d/2, (D − d)/2).
    for D, d in [(10, 1), (10, 4), (500, 30)]:
        estimate = expected_trace(1.0, 1.0, D, d)
        variance = (d / 2) * ((D - d) / 2) / ((D / 2) ** 2 * (D / 2 + 1))
        assert estimate.stderr**2 == pytest.approx(variance)


def test_a_hyperplane_and_its_complement_scatter_alike():
    A = symmetric(12)
    of = [expected_trace(float(A.trace()), float(A.norm()), 12, d) for d in (5, 7)]
    assert of[0].stderr == pytest.approx(of[1].stderr)
    assert float(of[0]) + float(of[1]) == pytest.approx(float(A.trace()))


def test_the_error_of_an_estimated_trace_counts():
    of_one_draw = expected_trace(3.0, 2.0, 100, 10).stderr
    estimate = expected_trace(Estimate(3.0, stderr=0.8), Estimate(2.0, stderr=0.1), 100, 10)
    assert estimate.stderr == pytest.approx(math.hypot(of_one_draw, 0.1 * 0.8))


@pytest.mark.parametrize("dim", [0, -3, 11])
def test_dimensions_out_of_range(dim):
    with pytest.raises(ValueError, match=f"dim is {dim}; it must be an integer from 1 to num"):
        expected_trace(1.0, 1.0, 10, dim)
