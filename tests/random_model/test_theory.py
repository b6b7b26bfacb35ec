from functools import cache

import numpy as np
import pytest
from benchmarks.random_model import (
    PLACES,
    bulk_distance,
    drawn,
    model_at,
    next_to_edge,
    outlier_errors,
    power_errors,
)
from hypothesis import given
from hypothesis import strategies as st

import landscope as ls
from landscope.random_model import Theory
from landscope.random_model.softmax_curvature import softmax


def test_without_residuals_the_theory_is_exact():
    land = ls.RandomModel(5, 30, 400, sigma_e=0.0, sigma_z=2.0).sample(2)
    theory = land.theory()
    assert theory.edge == 0
    assert theory.outliers == pytest.approx(land.eigenvalues()[:4], rel=1e-9)
    assert np.cumsum(theory.gradient_power) == pytest.approx(land.gradient_power(4), rel=1e-7)
    assert theory.trace == pytest.approx(land.trace(), rel=1e-12)
    assert theory.frobenius_norm == pytest.approx(land.frobenius_norm(), rel=1e-12)
    assert theory.gradient_norm == pytest.approx(land.gradient_norm(), rel=1e-12)


@pytest.mark.parametrize("silent", [{"sigma_c": 0.0}, {"sigma_c": 0.0, "sigma_e": 0.0}])
def test_without_centroids_there_are_no_outliers(silent):
    theory = ls.RandomModel(5, 30, 400, **silent).sample().theory()
    assert len(theory.outliers) == len(theory.gradient_power) == 0
    assert np.isinf(theory.detachment).all()


def test_equal_logits_are_a_spiked_wishart_matrix():
    """σ_z = 0: M = (I − 11ᵀ/C)/C, spikes ℓ of a Wishart matrix at (ℓ + s)(1 + γs/ℓ)."""
    N, C, D, sigma_e = 40, 4, 300, 0.6
    land = ls.RandomModel(C, N, D, sigma_e=sigma_e, sigma_z=0.0).sample()
    centre = np.eye(C) - 1 / C
    spikes = np.linalg.eigvalsh(centre @ land.theory().K @ centre)[::-1][: C - 1] / C
    rows, noise = N * (C - 1), sigma_e**2 / (C * N)  # each of `rows` rows has length² noise
    # BBP for D × D matrices Σ_i x_i x_iᵀ: covariance spikes over noise rows/D, aspect D/rows.
    # The C − 1 outliers leave D − C + 1 dimensions to the noise.
    sigma2, gamma = noise * rows / D, (D - C + 1) / rows
    expected = (spikes + sigma2) * (1 + gamma * sigma2 / spikes)
    theory = land.theory()
    assert theory.edge == pytest.approx(sigma2 * (1 + gamma**0.5) ** 2, rel=1e-9)
    assert theory.outliers == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    "extra",
    [{}, {"sigma_class": 0.6}, {"sigma_class": 0.6, "class_centroids": "own"}, {"sigma_z": 6.0}],
)
def test_trace_and_norms_are_means_over_the_residuals(extra):
    """Residuals drawn afresh around the same centroids, probabilities and labels."""
    model = ls.RandomModel(3, 6, 9, sigma_e=1.5, **extra)
    land = model.sample(4)
    theory = land.theory()
    C, N, D = 3, 6, 9
    means = land.centroids.reshape(-1, C, D)
    rng = np.random.default_rng(0)
    p, labels = land.probabilities, land.labels
    own = means[labels] if len(means) > 1 else means[np.zeros(N, int)]
    J = own + 1.5 * rng.standard_normal((4000, N, C, D)) / D**0.5
    M = np.apply_along_axis(np.diag, 1, p) - np.einsum("mk,ml->mkl", p, p)
    H = np.einsum("smkd,mkl,smle->sde", J, M, J, optimize=True) / N
    g = np.einsum("mk,smkd->sd", p - np.eye(C)[labels], J) / N
    traces, squares = np.trace(H, axis1=1, axis2=2), np.sum(H**2, axis=(1, 2))
    numbers = np.stack([traces, squares, np.sum(g**2, axis=1)], axis=1)
    mean, error = np.mean(numbers, axis=0), np.std(numbers, axis=0) / 4000**0.5
    predicted = theory.trace, theory.frobenius_norm**2, theory.gradient_norm**2
    assert (np.abs(np.array(predicted) - mean) < 4 * error).all()


@pytest.mark.parametrize("place", [PLACES[0], PLACES[5]])
@pytest.mark.usefixtures("unchecked")
def test_predicts_draws(place):
    draws = drawn(model_at(*place), 2)
    errors = outlier_errors(draws)
    assert errors["far"] < 0.02
    predicted, measured, _ = power_errors(draws)
    assert predicted == pytest.approx(measured, abs=0.02)
    assert bulk_distance(draws[:1]) < 0.015


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_predicts_draws_everywhere(place):
    draws = drawn(model_at(*place), 20)
    errors = outlier_errors(draws)
    assert errors["far"] < 0.02
    assert errors["near"] < 0.04
    predicted, measured, _ = power_errors(draws)
    assert predicted == pytest.approx(measured, abs=0.02)
    assert bulk_distance(draws) < 0.01


@pytest.mark.slow
def test_the_first_bulk_eigenvalue_nears_the_edge_as_sizes_double():
    deficits = [
        1 - next_to_edge(drawn(ls.RandomModel(10, N, D), 8))
        for N, D in [(75, 250), (150, 500), (300, 1000)]
    ]
    assert deficits[0] > deficits[1] > deficits[2] > 0


@pytest.mark.usefixtures("unchecked")
def test_outliers_detach_where_predicted():
    """C = 2: one branch; its factor of detachment turns σ_c into the critical length."""
    N, D, sigma_e = 200, 400, 1.0
    critical = np.mean(
        [
            float(ls.RandomModel(2, N, D, 1.0, sigma_e).sample(s).theory().detachment[0])
            for s in range(6)
        ]
    )

    def means(sigma_c):
        lands = [ls.RandomModel(2, N, D, sigma_c, sigma_e).sample(s) for s in range(6)]
        theories = [land.theory() for land in lands]
        bulk = np.mean([theory.bulk.largest_eigenvalue for theory in theories])
        outliers = [theory.outliers[0] for theory in theories if len(theory.outliers)]
        measured = np.mean([land.eigenvalues()[0] for land in lands])
        return measured, bulk, outliers

    for factor in (0.4, 0.6):
        measured, bulk, outliers = means(factor * critical)
        assert len(outliers) == 0
        assert measured == pytest.approx(bulk, rel=0.05)
    for factor in (1.4, 2.0):
        measured, bulk, outliers = means(factor * critical)
        assert len(outliers) == 6
        assert measured == pytest.approx(np.mean(outliers), rel=0.04)
        assert measured > 1.1 * bulk


@cache
def theory_of_a_draw():
    return ls.RandomModel(4, 40, 100, sigma_e=2.0).sample(0).theory()


@given(factor=st.floats(0.2, 5.0))
@pytest.mark.usefixtures("unchecked")
def test_detachment_is_where_outliers_appear(factor):
    theory = theory_of_a_draw()
    stronger = Theory(
        theory.probabilities, theory.labels, factor**2 * theory.K, 2.0, theory.num_params
    )
    assert len(stronger.outliers) == np.sum(theory.detachment < factor)
    assert stronger.detachment[:3] == pytest.approx(theory.detachment[:3] / factor, rel=1e-9)


@pytest.mark.parametrize("sigma_e", [0.1, 0.7])
def test_unequal_lengths_never_give_more_than_one_outlier_less_than_classes(sigma_e):
    for seed in range(2):
        model = ls.RandomModel(10, 60, 2000, sigma_e=sigma_e, lengths=np.linspace(0.3, 3, 10))
        land = model.sample(seed)
        theory = land.theory()
        assert len(theory.outliers) <= 9
        # Weyl: the centroids' part of A has rank C − 1, so λ_C is below the noise's largest.
        noise = ls.RandomModel(10, 60, 2000, sigma_c=0.0, sigma_e=sigma_e).sample(seed)
        assert np.array_equal(noise.labels, land.labels)
        assert land.eigenvalues()[9] <= noise.eigenvalues()[0] * (1 + 1e-9)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("own", [9 + 10]),
        ("shared", [9]),
        pytest.param("full", range(80, 91), marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_class_conditional_centroids_have_their_number_of_outliers(kind, expected):
    model = ls.RandomModel(10, 120, 10**6, sigma_e=0.05, sigma_class=0.5, class_centroids=kind)
    land = model.sample()
    theory = land.theory()
    assert len(theory.outliers) in expected
    n = len(theory.outliers)
    assert land.eigenvalues()[n] < 1.02 * theory.edge < land.eigenvalues()[n - 1]


def test_shared_class_vectors_drop_out_of_the_hessian():
    with_them = ls.RandomModel(4, 20, 10**9, sigma_class=3.0, class_centroids="shared").sample()
    centroids = with_them.centroids.reshape(4, 4, -1)
    centred = centroids - centroids.mean(1, keepdims=True)
    gram = np.einsum("akd,bld->akbl", centred, centred)
    assert gram == pytest.approx(np.broadcast_to(gram[:1, :, :1, :], gram.shape), abs=1e-12)


@pytest.mark.usefixtures("unchecked")
def test_class_conditional_outliers_match_draws():
    draws = drawn(ls.RandomModel(5, 150, 3000, 1.0, 0.3, sigma_class=0.5), 3)
    predicted = np.mean([theory.outliers[:20] for _, theory in draws], axis=0)
    measured = np.mean([land.eigenvalues()[:20] for land, _ in draws], axis=0)
    assert predicted[:4] == pytest.approx(measured[:4], rel=0.004)
    assert predicted[4:9] == pytest.approx(measured[4:9], rel=0.04)
    for land, theory in draws:
        n = len(theory.outliers)
        power = land.gradient_power(n)[-1]
        assert theory.gradient_power.sum() == pytest.approx(power, abs=0.03)


def test_one_class_mean_repeated_is_no_class_conditional_model():
    """K of order C² made of the same centroids for every class predicts what K of order C does."""
    land = ls.RandomModel(3, 40, 500, sigma_z=2.0).sample()
    plain = land.theory()
    K = np.kron(np.ones((3, 3)), plain.K)
    repeated = Theory(plain.probabilities, plain.labels, K, 0.7, 500)
    assert repeated.outliers == pytest.approx(plain.outliers, rel=1e-8)
    assert repeated.gradient_power == pytest.approx(plain.gradient_power, rel=1e-6)
    assert repeated.trace == pytest.approx(plain.trace, rel=1e-12)
    assert repeated.frobenius_norm == pytest.approx(plain.frobenius_norm, rel=1e-12)


@pytest.mark.slow
def test_a_trillion_parameters_have_a_theory():
    draws = drawn(ls.RandomModel(num_params=10**12), 2)
    for land, theory in draws:
        assert theory.outliers == pytest.approx(land.eigenvalues()[:9], rel=1e-4)
        assert np.cumsum(theory.gradient_power) == pytest.approx(land.gradient_power(9), abs=1e-4)


def test_refuses_what_does_not_fit_together():
    p = softmax(np.random.default_rng(0).standard_normal((4, 3)))
    labels, K = np.array([0, 1, 2, 0]), np.eye(3)
    bad = [
        ((2 * p, labels, K, 1.0, 10), "probabilities"),
        ((p, labels + 1, K, 1.0, 10), "labels"),
        ((p, labels, np.eye(4), 1.0, 10), "K of shape"),
        ((p, labels, np.triu(np.ones((3, 3))), 1.0, 10), "K of shape"),
        ((p, labels, K, -1.0, 10), "sigma_e"),
        ((p, labels, K, 1.0, float("nan")), "num_params"),
    ]
    for arguments, name in bad:
        with pytest.raises(ValueError, match=name) as refusal:
            Theory(*arguments)
        assert str(refusal.value).startswith(name)
