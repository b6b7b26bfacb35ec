import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from landscope.linalg import eigsh, spectral_density, wasserstein_distance

eigenvalues = st.lists(st.floats(-100, 100), min_size=1, max_size=12)


@given(eigenvalues, eigenvalues)
@settings(deadline=None)
def test_equals_the_distance_of_scipy(a, b):
    expected = stats.wasserstein_distance(a, b)
    assert wasserstein_distance(a, b) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(eigenvalues, eigenvalues, eigenvalues)
@settings(deadline=None)
def test_is_a_metric(a, b, c):
    assert wasserstein_distance(a, b) == pytest.approx(wasserstein_distance(b, a), abs=1e-9)
    assert wasserstein_distance(a, a[::-1]) == pytest.approx(0.0, abs=1e-9)
    through_b = wasserstein_distance(a, b) + wasserstein_distance(b, c)
    assert wasserstein_distance(a, c) <= through_b + 1e-9


@given(eigenvalues, st.floats(-10, 10), st.floats(-5, 5))
@settings(deadline=None)
def test_shift_moves_by_its_length_and_scale_scales(a, shift, scale):
    values = np.array(a)
    shifted = wasserstein_distance(values, values + shift)
    assert shifted == pytest.approx(abs(shift), abs=1e-9)
    scaled = wasserstein_distance(scale * values, scale * (values**2 / 100))
    plain = wasserstein_distance(values, values**2 / 100)
    assert scaled == pytest.approx(abs(scale) * plain, abs=1e-9)


def test_dim_fills_up_with_zeros():
    nonzero, whole = [4.0, 1.0], [4.0, 1.0, 0.0, 0.0, 0.0]
    assert wasserstein_distance(nonzero, whole, dim=5) == pytest.approx(0.0, abs=1e-15)
    assert wasserstein_distance(nonzero, [1.0], dim=5) == pytest.approx(0.8)
    assert wasserstein_distance(nonzero, whole) == pytest.approx(1.5)


def test_takes_tensors_arrays_eigenpairs_and_densities(operator_with):
    values = np.concatenate([[5.0, 4.0], np.linspace(0, 1, 98)])
    operator = operator_with(values)
    pairs = eigsh(operator, 2, tol=1e-10)
    assert wasserstein_distance(pairs, torch.tensor([4.0, 5.0])) < 1e-9
    density = spectral_density(operator, 1, 100, deflate="converged")
    assert wasserstein_distance(density, values) < 1e-9
    assert wasserstein_distance(density, density) < 1e-15


def test_spread_nodes_lie_nearer_to_a_dense_spectrum_than_the_quadrature(operator_with):
    values = np.concatenate([[8.0, 5.0, 3.0], np.linspace(-0.2, 0.5, 297)])
    density = spectral_density(operator_with(values), 4, 20, deflate=3)
    of_nodes = stats.wasserstein_distance(density.nodes, values, density.weights)
    assert wasserstein_distance(density, values) < 0.7 * of_nodes


@pytest.mark.parametrize("mode", [3, "converged"])
@pytest.mark.usefixtures("unchecked")
def test_deflated_outliers_bring_the_density_nearer(operator_with, mode):
    values = np.concatenate([[8.0, 5.0, 3.0], np.linspace(-0.2, 0.5, 297)])
    operator = operator_with(values)
    distances = {
        deflate: np.mean(
            [
                wasserstein_distance(spectral_density(operator, 1, 24, s, deflate=deflate), values)
                for s in range(4)
            ]
        )
        for deflate in (0, mode)
    }
    assert distances[mode] < 0.5 * distances[0]


@pytest.mark.parametrize(
    ("values", "dim", "message"),
    [
        ([[1.0]], None, "a must hold finite eigenvalues of shape"),
        ([], None, "a must hold finite eigenvalues"),
        ([float("nan")], None, "a must hold finite eigenvalues"),
        ([1.0, 2.0], 1, "a holds 2 eigenvalues, more than dim = 1"),
    ],
)
def test_bad_spectra_are_refused(values, dim, message):
    with pytest.raises(ValueError, match=message):
        wasserstein_distance(values, [1.0], dim=dim)
