"""The fit on data drawn from the random model itself: its parameters, and what it predicts."""

import numpy as np
import pytest

import landscope as ls
from landscope.random_model.clusters import Clusters
from landscope.random_model.fit import fit_measured
from landscope.random_model.measured import MeasuredLandscape
from tests.random_model.explicit import explicit_draw, hessian_and_gradient

MODEL = ls.RandomModel(4, 80, 300, sigma_c=1.0, sigma_e=0.7, sigma_z=1.3)


def logit_gradients(model, rng):
    """J with class-conditional centroids where the model has them, logits and labels."""
    C, D = model.num_classes, model.num_params
    J, p, labels = explicit_draw(model, rng)
    by_class = model.sigma_class * rng.standard_normal((C, C, D)) / np.sqrt(D)
    return J + by_class[labels], np.log(p), labels


def fit_draw(model, seed, means="centroids", **choices):
    J, logits, labels = logit_gradients(model, np.random.default_rng(seed))
    rows = J.reshape(-1, model.num_params)
    return fit_measured(rows @ rows.T, logits, labels, model.num_params, means, **choices)


@pytest.mark.parametrize(
    ("means", "sigma_class", "num_examples"),
    [("centroids", 0.0, 80), ("class", 0.5, 80), ("centroids", 0.0, 4)],
)
def test_the_fit_recovers_the_parameters(means, sigma_class, num_examples):
    # With four examples the bias that is subtracted is a quarter of σ_E² = 0.49, beside σ_c² = 1.
    model = ls.RandomModel(
        4, num_examples, 300, sigma_c=1.0, sigma_e=0.7, sigma_z=1.3, sigma_class=sigma_class
    )
    fitted = [fit_draw(model, seed, means).model for seed in range(30)]
    for name in ("sigma_c", "sigma_e", "sigma_z", "sigma_class"):
        squares = np.array([getattr(found, name) ** 2 for found in fitted])
        error = squares.std(ddof=1) / len(squares) ** 0.5
        assert abs(squares.mean() - getattr(model, name) ** 2) <= 3.5 * error, name


@pytest.mark.parametrize("means", ["centroids", "class"])
@pytest.mark.usefixtures("unchecked")
def test_the_debiased_gram_is_that_of_the_true_centroids(means):
    rng = np.random.default_rng(3)
    C, n, D = 3, 3, 60
    labels = np.repeat(np.arange(C), n)
    centroids = rng.standard_normal((C, C, D)) / np.sqrt(D)
    if means == "centroids":
        centroids[:] = centroids[0]
    truth = centroids.reshape(C * C, D) if means == "class" else centroids[0]
    raw, debiased = [], []
    num_draws = 200
    for _ in range(num_draws):
        J = centroids[labels] + rng.standard_normal((C * n, C, D)) / np.sqrt(D)
        rows = J.reshape(-1, D)
        clusters = Clusters(
            MeasuredLandscape(rows @ rows.T, np.zeros((C * n, C)), labels, D), means
        )
        debiased.append(clusters.gram)
        raw.append(clusters.raw_gram)
    error = np.std(debiased, axis=0) / num_draws**0.5
    assert (np.abs(np.mean(debiased, axis=0) - truth @ truth.T) < 4.5 * error).all()
    bias = np.diag(np.mean(raw, axis=0) - truth @ truth.T)
    assert (bias > 8 * np.diag(error)).all()


@pytest.mark.usefixtures("unchecked")
def test_the_fit_predicts_its_own_draws():
    model = ls.RandomModel(5, 200, 400, sigma_c=1.0, sigma_e=0.7, sigma_z=1.0)
    fits = [fit_draw(model, seed) for seed in range(4)]
    predicted = np.mean([fit.theory().outliers[:4] for fit in fits], axis=0)
    measured = np.mean([fit.measured.eigenvalues()[:4] for fit in fits], axis=0)
    np.testing.assert_allclose(predicted, measured, rtol=0.03)
    powers = [
        (fit.theory().gradient_power.sum(), fit.measured.gradient_power(4)[-1]) for fit in fits
    ]
    predicted, measured = np.mean(powers, axis=0)
    assert predicted == pytest.approx(measured, abs=0.03)


def test_the_measured_spectrum_is_the_explicit_hessian_s():
    rng = np.random.default_rng(0)
    J, logits, labels = logit_gradients(MODEL, rng)
    rows = J.reshape(-1, 300)
    H, g = hessian_and_gradient(J, np.exp(logits), labels)
    values, vectors = np.linalg.eigh(H)
    measured = MeasuredLandscape(rows @ rows.T, logits, labels, 300)
    np.testing.assert_allclose(measured.eigenvalues()[:240], values[::-1][:240], rtol=1e-9)
    power = np.cumsum((vectors[:, ::-1].T @ g) ** 2) / (g @ g)
    np.testing.assert_allclose(measured.gradient_power(240), power[:240], rtol=1e-8)


def test_the_table_sets_predictions_beside_measurements():
    fit = fit_draw(MODEL, 0)
    rows = {row.quantity: row for row in fit.table()}
    assert rows["outlier 1"].predicted == fit.theory().outliers[0]
    assert rows["outlier 1"].measured == fit.measured.eigenvalues()[0]
    assert rows["trace"].ratio == pytest.approx(fit.theory().trace / fit.measured.trace())
    assert all(row.quantity in str(fit) for row in fit.table())


def test_labels_are_sampled_where_that_is_likelier():
    J, logits, labels = logit_gradients(MODEL, np.random.default_rng(0))
    rows = J.reshape(-1, 300)
    K = rows @ rows.T
    assert fit_measured(K, logits, labels, 300).model.labels == "uniform"
    assert fit_measured(K, logits, logits.argmax(1), 300).model.labels == "sampled"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"logits": np.zeros((80, 1))}, "logits of shape"),
        ({"logits": np.full((80, 4), np.nan)}, "logits of shape"),
        ({"labels": np.full(80, 4)}, "labels of shape"),
        ({"gram": np.eye(319)}, "gram of shape"),
        ({"gram": np.triu(np.ones((320, 320)))}, "gram differs from its transpose"),
        ({"labels": np.arange(80) % 3, "means": "class"}, "labels has 0 examples of class 3"),
        ({"means": "mode"}, "means is 'mode'"),
        ({"residuals": "heavy"}, "residuals is 'heavy'"),
        ({"num_params": 0}, "num_params is 0"),
    ],
)
def test_bad_input(change, sentence):
    arrays = {
        "gram": np.eye(320),
        "logits": np.zeros((80, 4)),
        "labels": np.arange(80) % 4,
        "num_params": 300,
    }
    with pytest.raises(ValueError, match=sentence):
        fit_measured(**(arrays | change))
