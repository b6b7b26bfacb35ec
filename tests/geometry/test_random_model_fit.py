"""The random model fitted to networks: measured numbers against dense ones, and the figures."""

import numpy as np
import pytest
import torch

import landscope as ls
from landscope.zoo import load_dataset, make_network


def small_problem(num_examples=24, num_classes=3, loss="cross_entropy"):
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, num_classes)
        ).double()
    x = torch.randn(num_examples, 4, generator=generator, dtype=torch.float64)
    return ls.Problem(model, (x, torch.arange(num_examples) % num_classes), loss=loss)


def test_the_measured_landscape_is_the_network_s():
    problem = small_problem()
    measured = ls.fit_random_model(problem).measured
    G, g = ls.GaussNewton(problem).to_dense(), problem.gradient()
    values, vectors = torch.linalg.eigh(G)
    values, vectors = values.flip(0).numpy(), vectors.flip(1).numpy()
    found = measured.eigenvalues()
    np.testing.assert_allclose(found, values[: len(found)], atol=1e-12 * values[0])
    power = np.cumsum((vectors.T @ g.numpy()) ** 2) / float(g @ g)
    np.testing.assert_allclose(measured.gradient_power(10), power[:10], rtol=1e-8)
    assert measured.gradient_norm() == pytest.approx(float(g.norm()), rel=1e-10)
    assert measured.trace() == pytest.approx(float(G.trace()), rel=1e-10)
    assert measured.frobenius_norm() == pytest.approx(float(G.norm()), rel=1e-10)
    spectrum = ls.gram_spectrum(problem).numpy()
    np.testing.assert_allclose(found[: len(spectrum)], spectrum, atol=1e-12 * values[0])


def test_centroids_and_sigmas_are_those_of_logit_clustering():
    problem = small_problem()
    fit, clustering = ls.fit_random_model(problem), ls.logit_clustering(problem)
    assert fit.model.sigma_c == pytest.approx(clustering.sigma_c, rel=1e-10)
    assert fit.model.sigma_e == pytest.approx(clustering.sigma_e, rel=1e-10)
    assert fit.model.sigma_z == pytest.approx(float(ls.class_probabilities(problem).sigma_z))
    biased = clustering.centroids_gram.numpy() - np.eye(3) * clustering.sigma_e**2 / 24
    np.testing.assert_allclose(fit.clusters.gram, biased, rtol=1e-9, atol=1e-12)
    by_class = ls.fit_random_model(problem, means="class").clusters
    expected = clustering.class_centroids_gram.permute(1, 0, 3, 2).reshape(9, 9).numpy()
    debiased = expected - np.eye(9) * by_class.sigma_e**2 / 8
    np.testing.assert_allclose(by_class.gram, debiased, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("weights", ["uniform", "curvature"])
@pytest.mark.parametrize("means", ["centroids", "class"])
def test_the_anisotropic_fit_against_dense_matrices(means, weights):
    problem = small_problem()
    J = ls.LogitJacobian(problem).to_dense().numpy().reshape(24, 3, -1)
    p = torch.softmax(problem.logits(), 1).numpy()
    M = p[:, :, None] * np.eye(3) - p[:, :, None] * p[:, None, :]
    W = M if weights == "curvature" else np.stack([np.eye(3)] * 24)
    labels = np.arange(24) % 3
    groups = labels if means == "class" else np.zeros(24, dtype=int)
    centroids, scatter, freedom = [], 0.0, 0.0
    for group in range(groups.max() + 1):
        W_own, J_own = W[groups == group], J[groups == group]
        inverse = np.linalg.pinv(W_own.sum(0), rcond=1e-10)
        c = inverse @ np.einsum("nkl,nld->kd", W_own, J_own)
        E = J_own - c
        scatter = scatter + np.einsum("nkd,nkl,nle->de", E, W_own, E)
        squares = np.einsum("nkl,nlm->km", W_own, W_own)
        freedom += np.einsum("nkk->", W_own) - np.sum(inverse * squares)
        centroids.append(c)
    c, covariance = np.concatenate(centroids), scatter / freedom
    fit = ls.fit_random_model(problem, means=means, residuals="anisotropic", weights=weights)
    clusters, theory = fit.clusters, fit.theory()
    np.testing.assert_allclose(clusters.raw_gram, c @ c.T, atol=1e-10)
    assert clusters.sigma_e**2 == pytest.approx(np.trace(covariance), rel=1e-9)
    spectrum = np.linalg.eigvalsh(covariance)[::-1]
    found = clusters.covariance_spectrum
    np.testing.assert_allclose(found, spectrum[: len(found)], rtol=1e-6, atol=1e-10 * spectrum[0])
    # The outliers' equation with matrices of order D in place of overlaps.
    for z in theory.outliers:
        e, _, b, _ = theory.bulk.solution(z)
        Q = np.linalg.inv(b * covariance - z * np.eye(len(covariance)))
        assert e == pytest.approx(np.trace(covariance @ Q), rel=1e-6)
        values, vectors = np.linalg.eigh(-c @ Q @ c.T + e * clusters.centroid_errors)
        K = (vectors * values.clip(0)) @ vectors.T  # what debiasing leaves of it
        B = np.zeros_like(K)
        for group in range(groups.max() + 1):
            own = slice(3 * group, 3 * group + 3)
            loaded = np.linalg.inv(np.eye(3) + e * M[groups == group] / 24)
            B[own, own] = np.einsum("nkl,nlm->km", M[groups == group], loaded) / 24
        assert np.abs(np.linalg.eigvals(K @ B) - 1).min() < 1e-6


@pytest.mark.parametrize(
    ("problem", "arguments", "sentence"),
    [
        (lambda: small_problem(loss="mse"), {}, "problem has the loss MeanSquaredError"),
        (
            lambda: small_problem(loss=torch.nn.CrossEntropyLoss(label_smoothing=0.1)),
            {},
            "with class weights or label smoothing",
        ),
        (lambda: small_problem(num_examples=1), {}, "problem has 1 examples and 3 logits"),
        (lambda: small_problem(num_examples=5), {"means": "class"}, "labels has 1 examples of"),
        (small_problem, {"means": "median"}, "means is 'median'"),
        (small_problem, {"residuals": "none"}, "residuals is 'none'"),
    ],
)
def test_bad_input(problem, arguments, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        ls.fit_random_model(problem(), **arguments)
    assert str(error.value).count(". ") == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_outliers_at_initialisation(name, landscope_data):
    # All nine within 3 %: what the clustering by logit explains before any training.
    data = load_dataset(name, data_root=landscope_data, download=False, max_examples=1000)
    model = make_network("small_cnn", data.input_shape)
    problem = ls.Problem(model, (data.train_inputs[:300], data.train_targets[:300]))
    fit = ls.fit_random_model(problem)
    values = fit.measured.eigenvalues()
    assert len(fit.theory().outliers) == 9
    np.testing.assert_allclose(fit.theory().outliers, values[:9], rtol=0.03)
    assert fit.theory().edge < 0.1 * values[9]  # isotropic residuals miss the edge

    # Their measured covariance finds it, and class-conditional means the gradient.
    fit = ls.fit_random_model(problem, means="class", residuals="anisotropic")
    theory = fit.theory()
    np.testing.assert_allclose(theory.outliers[:9], values[:9], rtol=0.01)
    assert theory.edge == pytest.approx(values[len(theory.outliers)], rel=0.3)
    measured_power = fit.measured.gradient_power(9)[-1]
    assert theory.gradient_power[:9].sum() == pytest.approx(measured_power, abs=0.02)


@pytest.mark.parametrize("residuals", ["isotropic", "anisotropic"])
def test_a_network_with_fewer_weights_than_logit_gradients_in_single_precision(residuals):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, generator=generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        problem = ls.Problem(torch.nn.Linear(4, 3), (x, torch.arange(60) % 3))
    fit = ls.fit_random_model(problem, residuals=residuals)
    assert len(fit.clusters.covariance_spectrum) <= problem.num_params
    assert np.isfinite(fit.theory().edge)
    assert fit.theory().trace == pytest.approx(fit.measured.trace(), rel=0.05)
