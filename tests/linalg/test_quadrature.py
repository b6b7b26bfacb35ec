import numpy as np
import pytest
import torch

from landscope.linalg.product import CountedProduct
from landscope.linalg.quadrature import known, lanczos_quadratures, mixture, settled


def probes(dim, count=1, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dim, generator=generator, dtype=dtype).T


def run(operator, num_steps, count=1, settle=False, dtype=torch.float64):
    dim = operator.shape[0]
    start = probes(dim, count, dtype=dtype)
    found = lanczos_quadratures(CountedProduct(operator), start, num_steps, dim, mark=settle)
    return settled(found, dim, torch.finfo(dtype).eps) if settle else found


def test_moments_of_a_probe_are_exact_up_to_twice_the_steps(operator_with):
    operator = operator_with(np.linspace(-1, 2, 40))
    start = probes(40, 3)
    unit = start / start.norm(dim=0)
    quadratures = run(operator, 6, count=3)
    for degree in range(12):
        moments = (unit * (torch.linalg.matrix_power(operator.matrix, degree) @ unit)).sum(0)
        found = torch.stack([q.nodes**degree @ q.weights for q in quadratures])
        torch.testing.assert_close(found, moments, rtol=1e-11, atol=1e-12)


def test_reach_lies_within_half_the_gaps_and_atoms_keep_mass_and_order(operator_with):
    (quadrature,) = run(operator_with(np.linspace(-1, 2, 300)), 15)
    ends = quadrature.nodes[:, None] + quadrature.reach * torch.tensor([-1.0, 1.0])
    assert (ends[1:, 0] >= ends[:-1, 1] - 1e-12).all()
    assert ends.min() == quadrature.nodes.min()
    points, weights = quadrature.atoms()
    assert weights.sum().item() == pytest.approx(1.0, abs=1e-14)
    assert points.min() >= quadrature.nodes.min()
    assert points.max() <= quadrature.nodes.max()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_simple_outliers_settle_with_the_weight_of_an_eigenvalue(operator_with, dtype):
    outliers = [-4.0, 3.0, 5.0, 9.0]
    values = np.concatenate([outliers, np.linspace(-0.5, 1, 196)])
    (plain,) = run(operator_with(values, dtype=dtype), 30, dtype=dtype)
    (settled,) = run(operator_with(values, dtype=dtype), 30, settle=True, dtype=dtype)
    found = settled.nodes[~settled.sampled]
    for outlier in outliers:
        assert (found - outlier).abs().min() < 1e-4
    torch.testing.assert_close(
        settled.weights[~settled.sampled], torch.full_like(found, 1 / 200), rtol=1e-12, atol=0
    )
    assert settled.weights.sum().item() == pytest.approx(1.0, abs=1e-12)
    ratios = settled.weights[settled.sampled] / plain.weights[settled.sampled]
    torch.testing.assert_close(ratios, ratios[:1].expand_as(ratios))


@pytest.mark.parametrize("num_zeros", [50, 190])
def test_an_eigenvalue_of_high_multiplicity_does_not_settle(operator_with, num_zeros):
    values = np.concatenate([np.geomspace(1, 9, 200 - num_zeros), np.zeros(num_zeros)])
    (quadrature,) = run(operator_with(values), 200, settle=True)
    at_zero = quadrature.nodes.abs() < 1e-6
    share = quadrature.weights[at_zero].sum().item()
    assert share == pytest.approx(num_zeros / 200, abs=5 * (2 / 200) ** 0.5 / 2)


@pytest.mark.parametrize("copies", [2, 3, 6])
def test_two_probes_tell_a_multiple_eigenvalue_from_simple_ones(operator_with, copies):
    """One of few copies, that a probe cannot tell by its weight."""
    values = np.concatenate([[9.0, 3.0], np.full(copies, 5.0), np.linspace(-0.5, 1, 98 - copies)])
    for quadrature in run(operator_with(values), 30, count=3, settle=True):
        found = quadrature.nodes[~quadrature.sampled]
        assert (found - 9).abs().min() < 1e-9
        assert (found - 3).abs().min() < 1e-9
        assert (found - 5).abs().min() > 0.1


def test_dense_bulk_far_below_an_outlier_does_not_settle_in_float32(operator_with):
    """Its residuals are within rounding of the outlier, but so are its gaps."""
    values = np.concatenate([[1e4], np.linspace(-1e-3, 1e-3, 199)])
    (quadrature,) = run(
        operator_with(values, dtype=torch.float32), 12, settle=True, dtype=torch.float32
    )
    assert quadrature.weights.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert (~quadrature.sampled).sum() <= 1


def test_mixture_and_known_eigenvalues_have_their_shares():
    values = torch.tensor([3.0, 1.0], dtype=torch.float64)
    both = mixture([known(values, 0 * values, 4), known(values, 0 * values, 2)], [1.0, 0.5])
    torch.testing.assert_close(
        both.weights, torch.tensor([0.25, 0.25, 0.25, 0.25], dtype=torch.float64)
    )
    assert not both.sampled.any()
