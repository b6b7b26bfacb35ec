import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import landscope as ls
from landscope.random_model.bulk import IsotropicBulk

UNEVEN = np.linspace(0.01, 0.5, 60)


def marchenko_pastur(x, scale, ratio):
    """Density of the D eigenvalues of (scale)·XᵀX, X of ratio·D rows N(0, I/D)."""
    low, high = scale * (1 - ratio**0.5) ** 2, scale * (1 + ratio**0.5) ** 2
    root = np.sqrt(np.maximum((x - low) * (high - x), 0))
    return root / (2 * np.pi * scale * x)


@pytest.mark.parametrize("num_params", [50, 200, 5000])
def test_equal_curvatures_give_the_law_of_marchenko_and_pastur(num_params):
    bulk = IsotropicBulk(np.full(100, 0.25), 1.3, num_params, 20)
    scale, ratio = 0.25 * 1.3**2 / 20, 100 / num_params
    assert bulk.edge == pytest.approx(scale * (1 + ratio**0.5) ** 2, rel=1e-12)
    assert bulk.atom_at_zero == pytest.approx(max(0, 1 - ratio), abs=1e-12)
    x = np.linspace(0.01, 1.2, 100) * bulk.edge
    away = np.abs(x / bulk.edge - 1) > 0.02
    expected = marchenko_pastur(x, scale, ratio)
    assert bulk.density(x)[away] == pytest.approx(expected[away], rel=1e-5, abs=1e-3 / scale)


@pytest.mark.parametrize("num_params", [30, 100, 10**4, 10**12, 1e40])
@pytest.mark.parametrize("beyond", [1.0001, 1.5, 100.0])
def test_resolvent_solves_its_equation(num_params, beyond):
    bulk = IsotropicBulk(UNEVEN, 0.8, num_params, 12)
    z = bulk.edge * beyond
    g, slope = bulk.resolvent(z)
    am = UNEVEN * 0.8**2 / 12
    D = float(num_params)
    assert -1 / g + np.sum(am / (1 + am * g)) / D == pytest.approx(z, rel=1e-9)
    assert slope == pytest.approx(1 / (g**-2 - np.sum((am / (1 + am * g)) ** 2) / D), rel=1e-4)
    ahead = bulk.resolvent(z * (1 + 1e-6))[0]
    assert (ahead - g) / (1e-6 * z) == pytest.approx(slope, rel=2e-2)


def test_edge_is_the_least_of_the_inverse_transform():
    bulk = IsotropicBulk(UNEVEN, 0.8, 100, 12)
    am = UNEVEN * 0.8**2 / 12
    g = -np.geomspace(1e-3, 1 - 1e-9, 5001) / am.max()
    least = (-1 / g + (am / (1 + am * g[:, None])).sum(1) / 100).min()
    assert bulk.edge <= least == pytest.approx(bulk.edge, rel=1e-5)


def test_airy_scale_is_that_of_johnstone():
    """For Wishart matrices: σ = (√n + √D)(1/√n + 1/√D)^⅓ (Johnstone 2001)."""
    n, D = 300, 700
    bulk = IsotropicBulk(np.full(n, 0.5), 1.0, D, n)
    expected = (n**0.5 + D**0.5) * (n**-0.5 + D**-0.5) ** (1 / 3) * 0.5 / n / D
    assert bulk.airy_scale == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("num_params", [20, 60, 300, 10**5])
def test_density_and_atom_add_up_to_one(num_params):
    bulk = IsotropicBulk(UNEVEN, 0.8, num_params, 12)
    x = bulk.edge * np.concatenate([np.geomspace(1e-9, 1e-3, 500), np.linspace(1e-3, 1, 4001)[1:]])
    assert np.trapezoid(bulk.density(x), x) + bulk.atom_at_zero == pytest.approx(1, abs=2e-3)


def test_mean_of_the_density_is_the_trace():
    bulk = IsotropicBulk(UNEVEN, 0.8, 100, 12)
    x = bulk.edge * np.linspace(0, 1, 5001)[1:]
    trace = 100 * np.trapezoid(x * bulk.density(x), x)
    assert trace == pytest.approx(0.8**2 * UNEVEN.sum() / 12, rel=1e-3)


@given(scale=st.floats(1e-3, 1e3))
def test_the_bulk_scales_with_the_residuals(scale):
    one, other = (IsotropicBulk(UNEVEN, s, 100, 12) for s in (1.0, scale))
    assert other.edge == pytest.approx(scale**2 * one.edge, rel=1e-9)
    assert other.airy_scale == pytest.approx(scale**2 * one.airy_scale, rel=1e-9)
    x = np.array([0.1, 0.5, 0.9]) * one.edge
    assert other.density(scale**2 * x) * scale**2 == pytest.approx(one.density(x), rel=1e-6)


def test_no_residuals_have_no_bulk():
    bulk = IsotropicBulk(UNEVEN, 0.0, 100, 12)
    assert bulk.edge == bulk.airy_scale == bulk.largest_eigenvalue == 0
    assert bulk.atom_at_zero == 1
    assert bulk.density(np.array([0.1, 1.0])) == pytest.approx(0, abs=0)


@pytest.mark.usefixtures("unchecked")
def test_largest_eigenvalue_follows_tracy_and_widom():
    draws = [ls.RandomModel(10, 60, 200, sigma_c=0.0).sample(seed) for seed in range(40)]
    measured = np.mean([land.eigenvalues()[0] for land in draws])
    theories = [land.theory() for land in draws]
    predicted = np.mean([theory.bulk.largest_eigenvalue for theory in theories])
    edge = np.mean([theory.edge for theory in theories])
    assert measured == pytest.approx(predicted, rel=0.015)
    assert abs(measured - predicted) < 0.5 * abs(measured - edge)
