"""The theory at the edges of its parameters: few dimensions, frozen classes, huge numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import landscope as ls
from landscope.random_model import Theory, outliers
from landscope.random_model.bulk import IsotropicBulk
from landscope.random_model.loaded_curvature import LoadedCurvature
from landscope.random_model.softmax_curvature import (
    curvature_eigenvalues,
    softmax,
    softmax_errors,
)


@pytest.mark.parametrize("num_params", [1, 2])
def test_fewer_dimensions_than_classes_are_all_outliers(num_params):
    draws = [ls.RandomModel(6, 60, num_params).sample(seed) for seed in range(6)]
    theories = [land.theory() for land in draws]
    for land, theory in zip(draws, theories, strict=True):
        assert len(theory.outliers) == num_params == len(land.eigenvalues())
        assert theory.gradient_power.sum() == pytest.approx(1, abs=1e-9)
        assert theory.outliers.sum() == pytest.approx(theory.trace, rel=1e-9)
    drawn = np.mean([land.eigenvalues() for land in draws], axis=0)
    assert np.mean([t.outliers for t in theories], axis=0) == pytest.approx(drawn, rel=0.1)


def test_the_last_of_few_dimensions_may_be_left_to_the_noise():
    for seed in range(4):
        land = ls.RandomModel(6, 60, 4).sample(seed)
        theory, drawn = land.theory(), land.eigenvalues()
        k = len(theory.outliers)
        assert k in (3, 4)
        assert (drawn[k:] < theory.edge).all()
        # One eigenvalue is its mean up to the spread √(2/N) of the examples.
        assert theory.outliers == pytest.approx(drawn[:k], rel=0.35)
        assert theory.outlier_power == pytest.approx(land.gradient_power(k)[-1], abs=0.15)


def test_more_eigensolves_than_can_be_done_are_refused(monkeypatch):
    monkeypatch.setattr(outliers, "MOST_WORK", 100)
    theory = ls.RandomModel(4, 20, 100).sample().theory()
    with pytest.raises(ValueError, match="K is of order 4 and has 3 outliers"):
        _ = theory.outliers


@pytest.mark.usefixtures("unchecked")
def test_few_more_dimensions_than_classes():
    draws = [ls.RandomModel(6, 60, 20).sample(seed) for seed in range(12)]
    theories = [land.theory() for land in draws]
    assert all(len(theory.outliers) == 5 for theory in theories)
    drawn = np.mean([land.eigenvalues()[:5] for land in draws], axis=0)
    assert np.mean([t.outliers for t in theories], axis=0) == pytest.approx(drawn, rel=0.05)
    power = np.mean([land.gradient_power(5)[-1] for land in draws])
    assert np.mean([theory.outlier_power for theory in theories]) == pytest.approx(power, abs=0.06)


@pytest.mark.parametrize("sigma_z", [1e3, 1e4])
def test_one_unfrozen_example_holds_the_gradient(sigma_z):
    land = ls.RandomModel(10, 100, 1000, sigma_z=sigma_z, labels="sampled").sample()
    theory = land.theory()
    assert land.gradient_power(9)[-1] == pytest.approx(1, abs=1e-6)
    assert theory.outlier_power == pytest.approx(1, abs=2e-3)
    assert theory.gradient_norm == pytest.approx(land.gradient_norm(), rel=0.1)


def test_a_gradient_below_all_numbers_has_no_share():
    theory = ls.RandomModel(4, 20, 100, sigma_z=1e7, labels="sampled").sample().theory()
    assert theory.gradient_norm == 0
    assert np.isnan(theory.outlier_power)


def test_errors_of_frozen_classes_sum_to_zero():
    p = np.array([[1.0, 1e-200, 3e-200], [0.2, 0.3, 0.5]])
    errors = softmax_errors(p, np.array([0, 2]))
    assert errors[0].tolist() == [-4e-200, 1e-200, 3e-200]
    assert errors[1] == pytest.approx([0.2, 0.3, -0.5], rel=1e-15)


@pytest.mark.parametrize("sigma_z", [0.0, 1.0, 20.0])
def test_curvature_eigenvalues_solve_the_secular_equation(sigma_z):
    p = softmax(sigma_z * np.random.default_rng(0).standard_normal((20, 5)))
    p[0] = [0.4, 0.4, 0.1, 0.1, 0.0]
    m = curvature_eigenvalues(p)
    for row, values in zip(p, m, strict=True):
        dense = np.linalg.eigvalsh(np.diag(row) - np.outer(row, row))[:0:-1]
        assert values == pytest.approx(dense, abs=1e-15)
    # Far below rounding: the product of the positive eigenvalues is C·Πp.
    assert np.log(m[1:]).sum(1) == pytest.approx(np.log(p[1:]).sum(1) + np.log(5), abs=1e-9)


@pytest.mark.parametrize("share", [-0.999, -0.5, 0.3 + 0.2j])
def test_loaded_curvature_is_that_of_dense_matrices(share):
    rng = np.random.default_rng(0)
    p, groups = softmax(3 * rng.standard_normal((15, 4))), rng.integers(2, size=15)
    load = share / curvature_eigenvalues(p).max()
    B, squares = np.zeros((2, 4, 2, 4), complex), np.zeros((2, 4, 2, 4))
    for row, a in zip(p, groups, strict=True):
        M = np.diag(row) - np.outer(row, row)
        B[a, :, a] += M @ np.linalg.inv(np.eye(4) + load * M) / 15
        squares[a, :, a] += M @ M / 15
    curvature = LoadedCurvature(p, groups, 2)
    assert np.abs(curvature.B(load) - B.reshape(8, 8)).max() < 1e-9 * np.abs(B).max()
    assert curvature.mean_square() == pytest.approx(squares.reshape(8, 8), abs=1e-15)


@pytest.mark.parametrize(
    ("num_params", "sigma_z"),
    [
        pytest.param(num_params, sigma_z, marks=() if (i + j) % 2 == 0 else pytest.mark.slow)
        for i, num_params in enumerate([1, 100, 1000, 1e6])
        for j, sigma_z in enumerate([0.01, 15.0, 100.0, 1e4])
    ],
)
def test_the_share_below_is_a_law_and_the_integral_of_the_density(sigma_z, num_params):
    p = softmax(sigma_z * np.random.default_rng(0).standard_normal((40, 4)))
    bulk = IsotropicBulk(curvature_eigenvalues(p).ravel(), 0.7, num_params, 40)
    x = bulk.edge * np.append(np.geomspace(1e-12, 1, 120), [1.1])
    below = bulk.share_below(x)
    assert (np.diff(below) >= -1e-12).all()
    assert below[-1] == 1
    assert below[0] >= bulk.atom_at_zero - 1e-12
    assert bulk.atom_at_zero == pytest.approx(max(0, 1 - 120 / num_params), abs=1e-12)
    if num_params in (1, 100):
        inside = bulk.edge * np.linspace(0.2, 0.8, 2001)
        assert np.trapezoid(bulk.density(inside), inside) == pytest.approx(
            float(np.diff(bulk.share_below(inside[[0, -1]]))[0]), abs=2e-3
        )


@pytest.mark.parametrize("scale", [1e-150, 1e-20, 1e150])
def test_all_numbers_scale_with_the_lengths(scale):
    one, other = (
        ls.RandomModel(4, 20, 60, sigma_c=s, sigma_e=0.7 * s).sample().theory()
        for s in (1.0, scale)
    )
    for name in ("edge", "outliers", "trace", "frobenius_norm"):
        expected = np.asarray(getattr(one, name))
        assert getattr(other, name) / scale / scale == pytest.approx(expected, rel=1e-9)
    assert other.gradient_power == pytest.approx(one.gradient_power, rel=1e-6)
    assert other.gradient_norm / scale == pytest.approx(one.gradient_norm, rel=1e-9)


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("spread", [1e-60, 1e-100, 1e-150])
def test_outliers_stand_beside_a_bulk_however_small(spread):
    less, least = (
        ls.RandomModel(4, 20, 60, sigma_e=sigma_e).sample().theory() for sigma_e in (1e-20, spread)
    )
    assert len(less.outliers) == 3
    assert least.outliers == pytest.approx(less.outliers, rel=1e-9)


@pytest.mark.parametrize("num_params", [10**100, 10**155, 1e300])
def test_any_number_of_parameters_has_a_theory(num_params):
    huge = ls.RandomModel(4, 20, num_params).sample().theory()
    large = Theory(huge.probabilities, huge.labels, huge.K, 0.7, 1e20)
    assert huge.outliers == pytest.approx(large.outliers, rel=1e-8)
    assert huge.outlier_power == pytest.approx(large.outlier_power, rel=1e-6)
    # s = a·max m·(x/D), x the one distance 1/(1 − wt) = √D that counts
    assert huge.bulk.airy_scale * num_params**0.5 == pytest.approx(huge.edge, rel=1e-6)


spreads = st.one_of(st.just(0.0), st.floats(-3, 3).map(lambda x: 10.0**x))


@settings(max_examples=15, deadline=None)
@given(
    C=st.integers(2, 5),
    N=st.integers(1, 12),
    D=st.one_of(st.integers(1, 40), st.floats(2, 300).map(lambda x: float(int(10**x)))),
    sigma_c=spreads,
    sigma_e=spreads,
    sigma_z=st.floats(-2, 5).map(lambda x: 10.0**x),
    labels=st.sampled_from(["uniform", "sampled"]),
)
@pytest.mark.usefixtures("unchecked")
def test_no_parameter_leads_out_of_bounds(C, N, D, sigma_c, sigma_e, sigma_z, labels):
    theory = ls.RandomModel(C, N, D, sigma_c, sigma_e, sigma_z, labels).sample().theory()
    assert len(theory.outliers) <= min(C - 1, D)
    assert (theory.outliers >= theory.edge * (1 - 1e-9)).all()
    assert np.isfinite([theory.edge, theory.trace, theory.frobenius_norm]).all()
    power = theory.gradient_power
    assert np.isnan(power).all() or ((power >= 0).all() and power.sum() <= 1 + 1e-12)
    x = theory.edge * np.geomspace(1e-6, 2, 20) if theory.edge > 0 else np.ones(1)
    assert (theory.density(x) >= 0).all()
    below = theory.share_below(x)
    assert (np.diff(below) >= -1e-9).all()
    assert 0 <= theory.atom_at_zero <= below[-1] == 1
