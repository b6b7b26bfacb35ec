import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscope.random_model import freezing
from landscope.random_model.freezing import (
    critical_sigma,
    expected_curvature_square,
    expected_entropy,
    expected_participation,
    limiting_entropy,
    limiting_participation,
    simplex_paths,
)
from landscope.random_model.softmax_curvature import softmax


@pytest.mark.parametrize("C", [2, 10, 100])
@pytest.mark.parametrize("sigma_z", [0.1, 1.0, 3.0, 25.0])
def test_quadrature_is_the_mean_over_samples(C, sigma_z):
    z = sigma_z * np.random.default_rng(0).standard_normal((500_000 // C, C))
    p = softmax(z)
    Y = np.square(p).sum(1)
    samples = {
        expected_participation: Y,
        expected_entropy: -np.sum(p * np.log(np.maximum(p, 1e-300)), axis=1),
        expected_curvature_square: Y - 2 * np.power(p, 3).sum(1) + Y**2,
    }
    for expected, values in samples.items():
        error = values.std() / len(values) ** 0.5
        assert abs(expected(C, sigma_z) - values.mean()) < 4 * error + 1e-9


@pytest.mark.parametrize("sigma_z", [0.3, 2.0, 20.0])
def test_two_classes_are_an_integral_over_one_difference(sigma_z):
    x = np.linspace(-12, 12, 400_001) * 2**0.5 * sigma_z
    density = np.exp(-(x**2) / (4 * sigma_z**2))
    density /= density.sum()
    p = 1 / (1 + np.exp(-np.clip(x, -700, 700)))
    assert expected_participation(2, sigma_z) == pytest.approx(
        np.sum(density * (p**2 + (1 - p) ** 2)), abs=1e-9
    )
    entropy = np.log1p(np.exp(-np.abs(x))) + np.abs(x) * (1 - np.maximum(p, 1 - p))
    assert expected_entropy(2, sigma_z) == pytest.approx(np.sum(density * entropy), abs=1e-8)
    assert expected_curvature_square(2, sigma_z) == pytest.approx(
        np.sum(density * (2 * p * (1 - p)) ** 2), abs=1e-9
    )


@pytest.mark.parametrize(("C", "sigma_z"), [(10, 0.5), (10, 8.0), (1e6, 4.0)])
def test_a_finer_step_changes_nothing(C, sigma_z, monkeypatch):
    coarse = expected_participation(C, sigma_z), expected_entropy(C, sigma_z)
    monkeypatch.setattr(freezing, "STEP", freezing.STEP / 2)
    fine = expected_participation(C, sigma_z), expected_entropy(C, sigma_z)
    assert coarse == pytest.approx(fine, abs=1e-9)


@pytest.mark.parametrize("C", [2, 10, 1e6])
def test_no_spread_is_the_centre_of_the_simplex(C):
    assert expected_participation(C, 0.0) == pytest.approx(1 / C, rel=1e-9)
    assert expected_entropy(C, 0.0) == pytest.approx(np.log(C), rel=1e-9)


@given(sigma_z=st.floats(0.0, 20.0), C=st.integers(2, 1000))
def test_freezing_is_monotone_and_within_bounds(sigma_z, C):
    Y, later = expected_participation(C, sigma_z), expected_participation(C, sigma_z + 0.5)
    assert 1 / C - 1e-9 <= Y < later <= 1
    S, after = expected_entropy(C, sigma_z), expected_entropy(C, sigma_z + 0.5)
    assert np.log(C) + 1e-9 >= S > after >= -1e-9


@pytest.mark.parametrize("ratio", [0.5, 2.0, 3.0])
def test_many_classes_near_the_random_energy_model(ratio):
    def distance(C):
        sigma_z = ratio * critical_sigma(C)
        return abs(expected_participation(C, sigma_z) - limiting_participation(C, sigma_z))

    assert distance(1e12) < distance(1e6) < distance(1e2)
    assert distance(1e12) < 0.04


def test_entropy_nears_its_limit_relative_to_its_size():
    def distance(C):
        sigma_z = 0.5 * critical_sigma(C)
        return abs(expected_entropy(C, sigma_z) - limiting_entropy(C, sigma_z)) / np.log(C)

    assert distance(1e12) < distance(1e6) < distance(1e2)
    assert limiting_entropy(1e6, 1.01 * critical_sigma(1e6)) == 0


def test_critical_spread():
    assert critical_sigma(10) == pytest.approx(2.146, abs=1e-3)
    assert limiting_participation(10, critical_sigma(10)) == 0
    assert limiting_participation(10, 2 * critical_sigma(10)) == pytest.approx(0.5)


def test_what_is_left_to_freeze_falls_like_the_inverse_spread():
    """At C = 10, 1 − E[Y] ≈ 1.53/σ_z."""
    assert 30 * (1 - expected_participation(10, 30.0)) == pytest.approx(1.53, abs=0.02)


def test_paths_move_along_one_direction_to_the_corners():
    sigma_z = np.array([0.0, 0.5, 2.0, 300.0])
    paths = simplex_paths(3, 500, sigma_z)
    assert paths.shape == (4, 500, 3)
    assert paths.sum(-1) == pytest.approx(1, rel=1e-12)
    assert paths[0] == pytest.approx(1 / 3, rel=1e-12)
    assert (np.diff(paths.max(-1), axis=0) >= -1e-12).all()
    assert (paths.argmax(-1)[1:] == paths.argmax(-1)[1]).all()
    participation = np.square(paths[2]).sum(-1)
    error = participation.std() / 500**0.5
    assert participation.mean() == pytest.approx(expected_participation(3, 2.0), abs=4 * error)


@pytest.mark.parametrize("function", [expected_participation, expected_entropy, limiting_entropy])
@pytest.mark.parametrize(
    ("C", "sigma_z", "name"), [(1, 1.0, "num_classes"), (3, -1.0, "sigma_z"), (3, np.nan, "sigma")]
)
def test_refuses_what_is_out_of_range(function, C, sigma_z, name):
    with pytest.raises(ValueError, match=name):
        function(C, sigma_z)
