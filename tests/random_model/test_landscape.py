import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import landscope as ls
from landscope.random_model.softmax_curvature import softmax
from tests.random_model.explicit import (
    explicit_draw,
    hessian_and_gradient,
    statistics,
    statistics_by_gram,
)

SMALL = {"num_classes": 3, "num_examples": 12}
PLACES = [
    {"num_params": 20},
    {"num_params": 38},
    {"num_params": 39},  # as many weights as Gaussian rows
    {"num_params": 60},
    {"num_params": 60, "sigma_z": 20.0},
    {"num_params": 60, "sigma_e": 0.0},
    {"num_params": 60, "sigma_c": 0.0},
    {"num_params": 60, "sigma_class": 0.5},
]


@pytest.mark.parametrize("place", PLACES)
def test_all_numbers_are_those_of_the_dense_hessian(place):
    land = ls.RandomModel(**SMALL, **place).sample(seed=3)
    H, g = land.hessian(), land.gradient()
    values, vectors = np.linalg.eigh(H)
    values, vectors = values[::-1], vectors[:, ::-1]
    ours = land.eigenvalues()
    assert ours == pytest.approx(values[: len(ours)], abs=1e-13)
    assert values[len(ours) :] == pytest.approx(0, abs=1e-13)
    assert land.trace() == pytest.approx(np.trace(H), rel=1e-12)
    assert land.frobenius_norm() == pytest.approx(np.linalg.norm(H), rel=1e-12)
    assert land.gradient_norm() == pytest.approx(np.linalg.norm(g), rel=1e-12)
    k = int(np.sum(values > 1e-9 * values[0]))
    cosines = np.abs(vectors[:, :k].T @ g) / np.linalg.norm(g)
    assert land.cosines(k) == pytest.approx(cosines, abs=1e-6)
    assert land.gradient_power(k) == pytest.approx(np.cumsum(cosines**2), abs=1e-6)


@pytest.mark.parametrize("num_params", [100, 1000])
def test_hessian_and_gradient_are_those_of_their_logit_gradients(num_params):
    model = ls.RandomModel(num_classes=3, num_examples=8, num_params=num_params, sigma_e=0.0)
    land = model.sample(seed=0)
    J = np.tile(land.centroids @ land._isometry, (8, 1, 1))
    H, g = hessian_and_gradient(J, land.probabilities, land.labels)
    assert np.abs(land.hessian() - H).max() < 1e-13
    assert np.abs(land.gradient() - g).max() < 1e-13


def test_the_two_references_agree():
    draw = explicit_draw(ls.RandomModel(4, 10, 50), np.random.default_rng(0))
    expected = statistics(*hessian_and_gradient(*draw), 3)
    assert statistics_by_gram(*draw, 3) == pytest.approx(expected, rel=1e-9)


def draws_of_both(model, num_draws, k):
    ours, theirs = [], []
    rng = np.random.default_rng(1)
    for seed in range(num_draws):
        land = model.sample(seed)
        ours.append((land.eigenvalues()[0], land.trace(), land.gradient_power(k)[-1]))
        draw = explicit_draw(model, rng)
        by_gram = model.num_params > 1000
        theirs.append(
            statistics_by_gram(*draw, k) if by_gram else statistics(*hessian_and_gradient(*draw), k)
        )
    return np.array(ours).T, np.array(theirs).T


@pytest.mark.parametrize(
    ("num_classes", "num_examples", "num_params", "num_draws"),
    [
        pytest.param(10, 30, 400, 500, marks=pytest.mark.slow),
        (4, 30, 60, 150),  # fewer weights than rows: drawn directly
        pytest.param(10, 300, 4000, 25, marks=pytest.mark.slow),
    ],
)
def test_draws_have_the_law_of_explicit_matrices(num_classes, num_examples, num_params, num_draws):
    model = ls.RandomModel(num_classes, num_examples, num_params)
    for ours, theirs in zip(*draws_of_both(model, num_draws, num_classes - 1), strict=True):
        assert scipy.stats.ks_2samp(ours, theirs).pvalue > 1e-3


def test_mean_trace_is_the_closed_form():
    model = ls.RandomModel(num_classes=5, num_examples=20, num_params=10**9, sigma_z=2.0)
    traces = [model.sample(seed).trace() for seed in range(200)]
    p = softmax(2.0 * np.random.default_rng(0).standard_normal((100_000, 5)))
    expected = (1 - np.square(p).sum(1).mean()) * (1 + 0.7**2)
    assert np.mean(traces) == pytest.approx(expected, abs=5 * np.std(traces) / 200**0.5)


@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 10))
def test_scaling_all_gradients_scales_the_spectrum(seed, scale):
    def model(s):
        return ls.RandomModel(3, 7, 10**6, sigma_c=s, sigma_e=0.5 * s)

    one, other = model(1.0).sample(seed), model(scale).sample(seed)
    assert other.eigenvalues() == pytest.approx(scale**2 * one.eigenvalues(), rel=1e-9)
    assert other.cosines(3) == pytest.approx(one.cosines(3), abs=1e-9)


def test_the_same_seed_gives_the_same_draw():
    model = ls.RandomModel(num_examples=10)
    one, other = model.sample(5), model.sample(5)
    assert np.array_equal(one.eigenvalues(), other.eigenvalues())
    assert not np.array_equal(one.eigenvalues(), model.sample(6).eigenvalues())
    wider = ls.RandomModel(num_examples=10, sigma_z=3.0).sample(5)
    assert wider.logits == pytest.approx(3 * one.logits, rel=1e-14)
    assert np.array_equal(wider.labels, one.labels)


def test_labels_are_uniform_or_follow_the_probabilities():
    def mean_error(labels):
        model = ls.RandomModel(3, 40_000, 1, sigma_e=0.0, sigma_z=2.0, labels=labels)
        land = model.sample(0)
        hit = land.probabilities[np.arange(40_000), land.labels]
        return hit.mean(), np.square(land.probabilities).sum(1).mean()

    hit, _ = mean_error("uniform")
    assert hit == pytest.approx(1 / 3, abs=0.01)
    hit, participation = mean_error("sampled")
    assert hit == pytest.approx(participation, abs=0.01)


def test_no_gradient_has_no_cosine():
    land = ls.RandomModel(3, 5, 100, sigma_c=0.0, sigma_e=0.0).sample()
    assert land.eigenvalues() == pytest.approx(0, abs=0)
    assert np.isnan(land.cosines(1)).all()
    assert np.isnan(land.gradient_power(1)).all()


@pytest.mark.parametrize("k", [0, 37])
def test_refuses_a_number_of_eigenvectors_that_is_not_there(k):
    land = ls.RandomModel(**SMALL, num_params=20).sample()
    with pytest.raises(ValueError, match=r"k is .*from 1 to 20"):
        land.cosines(k)


def test_refuses_what_does_not_fit_into_memory():
    with pytest.raises(MemoryError, match=r"num_examples=10000000 .* GB of memory"):
        ls.RandomModel(num_examples=10**7).sample()
    with pytest.raises(MemoryError, match=r"a dense Hessian with num_params=10+ takes"):
        ls.RandomModel(3, 5, 10**12).sample().hessian()


@pytest.mark.slow
def test_a_trillion_parameters_have_a_full_spectrum():
    land = ls.RandomModel(num_params=10**12).sample()
    values = land.eigenvalues()
    assert len(values) == 2700
    assert values.sum() == pytest.approx(land.trace(), rel=1e-10)
