import numpy as np
import pytest

import landscope as ls


@pytest.mark.slow
def test_standard_errors_are_the_scatter_of_independent_averages():
    model = ls.RandomModel(3, 30, 200, sigma_z=2.0)
    runs = [model.theory(num_draws=8, seed=seed) for seed in range(25)]
    for name in ("edge", "trace", "frobenius_norm", "gradient_power"):
        averages = [getattr(run, name) for run in runs]
        scatter = np.std([average.value for average in averages])
        stated = np.sqrt(np.mean([average.stderr**2 for average in averages]))
        assert scatter == pytest.approx(stated, rel=0.4)


@pytest.mark.usefixtures("unchecked")
def test_averages_are_those_of_draws():
    model = ls.RandomModel(4, 40, 300)
    theory = model.theory(num_draws=30)
    traces = np.array([model.sample(seed).trace() for seed in range(30)])
    error = np.hypot(theory.trace.stderr, traces.std() / 30**0.5)
    assert abs(theory.trace.value - traces.mean()) < 4 * error
    assert theory.num_outliers.value == 3
    top = np.array([model.sample(seed).eigenvalues()[:3] for seed in range(30)])
    assert theory.outliers.value == pytest.approx(top.mean(0), rel=0.05)


@pytest.mark.usefixtures("unchecked")
def test_the_averaged_density_is_smooth_where_single_draws_are_combs():
    theory = ls.RandomModel(4, 25, 10**7).theory(num_draws=25)
    x = theory.edge.value * np.linspace(0.05, 0.9, 200)
    integral = np.trapezoid(theory.density(x), x)
    single = np.mean([draw.density(x) > 1e-3 * integral / x[-1] for draw in theory.draws[:3]])
    assert single < 0.2
    assert theory.atom_at_zero == pytest.approx(1 - 75 / 1e7, rel=1e-9)
    averaged = theory.density(x) > 1e-3 * integral / x[-1]
    assert averaged.mean() > 3 * single


def test_pooled_density_of_equal_curvatures_is_that_of_one_draw():
    theory = ls.RandomModel(4, 40, 100, sigma_z=0.0).theory(num_draws=3)
    x = np.linspace(0.1, 0.9, 20) * theory.edge.value
    assert theory.density(x) == pytest.approx(theory.draws[0].density(x), rel=1e-6)


def test_refuses_no_draws():
    with pytest.raises(ValueError, match="num_draws is 0"):
        ls.RandomModel().theory(num_draws=0)
