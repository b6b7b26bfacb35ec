import numpy as np
import pytest

import landscope as ls
from landscope.random_model import limits
from landscope.random_model.softmax_curvature import softmax


@pytest.mark.parametrize("sigma_z", [0.1, 2.0, 25.0])
def test_norm_at_infinite_dimension_is_that_of_draws(sigma_z):
    model = ls.RandomModel(5, 20, 10**12, 1.0, 0.7, sigma_z)
    draws = [model.sample(seed) for seed in range(100)]
    squares = np.array([land.frobenius_norm() ** 2 for land in draws])
    error = squares.std() / len(squares) ** 0.5
    assert limits.frobenius_norm(model) ** 2 == pytest.approx(squares.mean(), abs=4 * error)
    traces = np.array([land.trace() for land in draws])
    error = traces.std() / len(traces) ** 0.5
    assert limits.trace(model) == pytest.approx(traces.mean(), abs=4 * error)


@pytest.mark.parametrize("sigma_z", [0.1, 25.0])
def test_trace_over_norm_loses_its_fall_with_many_examples(sigma_z):
    many = ls.RandomModel(10, 10**7, 10**12, 1.0, 0.7, sigma_z)
    ratio = limits.trace(many) / limits.frobenius_norm(many)
    assert ratio == pytest.approx(limits.trace_to_norm(many), rel=1e-4)
    few = ls.RandomModel(10, 100, 10**12, 1.0, 0.7, sigma_z)
    assert limits.trace(few) / limits.frobenius_norm(few) < ratio


@pytest.mark.slow
def test_outliers_have_their_leading_size():
    model = ls.RandomModel(10, 300, 10**9, 1.0, 0.2, 2.0)
    outliers = np.mean([model.sample(s).theory().outliers for s in range(5)])
    assert limits.outlier_size(model) == pytest.approx(outliers, rel=0.05)


def test_gradient_power_has_the_mean_and_spread_of_draws():
    model = ls.RandomModel(num_examples=400, num_params=10**9, sigma_z=3.0)
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(800):
        p = softmax(3.0 * rng.standard_normal((400, 10)))
        r = p - np.eye(10)[rng.integers(10, size=400)]
        signal = np.square(r.mean(0)).sum()
        shares.append(signal / (signal + 0.7**2 * np.square(r).sum() / 400**2))
    mean, spread = limits.gradient_power(model)
    assert mean == pytest.approx(np.mean(shares), abs=4 * spread / 800**0.5)
    assert spread == pytest.approx(np.std(shares), rel=0.12)
    assert limits.gradient_power(ls.RandomModel(sigma_e=0.0)) == (1.0, 0.0)


def test_the_top_eigenvalue_rises_and_falls_where_lengths_grow_slowly():
    """σ_c² ∝ σ_z^β: a maximum for β < 1 alone, near σ_z = 2 for β = 1/2."""
    spreads = np.geomspace(0.1, 20, 24)

    def sizes(beta):
        return np.array(
            [
                limits.outlier_size(ls.RandomModel(sigma_c=s ** (beta / 2), sigma_z=s))
                for s in spreads
            ]
        )

    half = sizes(0.5)
    assert spreads[half.argmax()] == pytest.approx(2, abs=0.5)
    assert sizes(0.0).argmax() == 0
    assert (np.diff(sizes(1.0)) > 0).all()


def test_refuses_centroids_it_does_not_describe():
    with pytest.raises(ValueError, match="one length sigma_c"):
        limits.trace(ls.RandomModel(sigma_class=1.0))
