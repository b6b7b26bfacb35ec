"""Residuals of any covariance: the isotropic limit, draws in weight space, and fits of them."""

from dataclasses import replace
from functools import cached_property

import numpy as np
import pytest
from scipy.integrate import trapezoid

import landscope as ls
from landscope.random_model.anisotropic import AnisotropicTheory
from landscope.random_model.anisotropic_bulk import AnisotropicBulk
from landscope.random_model.clusters import Clusters
from landscope.random_model.fit import fit_measured
from landscope.random_model.isotropic import IsotropicResiduals
from landscope.random_model.measured import MeasuredLandscape
from landscope.random_model.softmax_curvature import softmax
from landscope.random_model.spectral_count import SpectralCount
from landscope.random_model.surrogates import surrogate
from landscope.random_model.theory import Theory
from tests.random_model.explicit import hessian_and_gradient

D, N, C = 500, 150, 5
SPECTRUM = 1 / (1 + np.arange(D) / 30.0) ** 1.5
SPECTRUM *= 0.5 / SPECTRUM.sum()  # of participation dimension 90


class InAllDimensions(Theory):
    """Outliers take no dimension from the bulk, as in the anisotropic theory."""

    @cached_property
    def _residuals(self):
        return IsotropicResiduals(self._beside(0).bulk, self.K, noise_variance=0.0)


def isotropic_pair(num_params, sigma_e=0.7, by_class=False):
    land = ls.RandomModel(
        4, 60, num_params, sigma_e=sigma_e, sigma_class=0.4 if by_class else 0.0
    ).sample(seed=1)
    c = land.centroids
    overlaps = np.zeros((len(c), num_params))
    overlaps[:, : c.shape[1]] = c
    spectrum = np.full(num_params, sigma_e**2 / num_params)
    given = land.probabilities, land.labels, c @ c.T
    return InAllDimensions(*given, sigma_e, num_params), AnisotropicTheory(
        *given, spectrum, num_params, overlaps
    )


@pytest.mark.parametrize(
    ("num_params", "sigma_e", "by_class"),
    [(100, 0.7, False), (1000, 0.7, False), (30, 0.2, False), (400, 3.0, False), (400, 0.5, True)],
)
def test_equal_eigenvalues_are_the_isotropic_theory(num_params, sigma_e, by_class):
    isotropic, anisotropic = isotropic_pair(num_params, sigma_e, by_class)
    for name in ("edge", "atom_at_zero", "gradient_norm", "trace", "frobenius_norm"):
        expected = getattr(isotropic, name)
        assert getattr(anisotropic, name) == pytest.approx(expected, rel=1e-8), name
    largest = isotropic.bulk.largest_eigenvalue
    assert anisotropic.bulk.largest_eigenvalue == pytest.approx(largest, rel=1e-5)
    np.testing.assert_allclose(anisotropic.outliers, isotropic.outliers, rtol=1e-8)
    np.testing.assert_allclose(anisotropic.gradient_power, isotropic.gradient_power, rtol=1e-5)
    x = np.linspace(0.05, 1.05, 30) * isotropic.edge
    np.testing.assert_allclose(
        anisotropic.density(x), isotropic.density(x), rtol=1e-5, atol=1e-6 / isotropic.edge
    )


def draw(rng, sigma_c=1.0, num_examples=N, aligned=0.0):
    """Logit gradients in the eigenbasis of Σ, centroids with a part along Σ, and p, labels."""
    widths = np.sqrt((1 - aligned) / D + aligned * SPECTRUM / SPECTRUM.sum())
    c = sigma_c * rng.standard_normal((C, D)) * widths
    J = c + rng.standard_normal((num_examples, C, D)) * np.sqrt(SPECTRUM)
    logits = rng.standard_normal((num_examples, C))
    return c, J, logits, rng.integers(C, size=num_examples)


@pytest.mark.parametrize("aligned", [0.0, 0.5])
@pytest.mark.usefixtures("unchecked")
def test_theory_against_draws(aligned):
    rng = np.random.default_rng(0)
    found = {"outliers": [], "power": [], "trace": [], "square": []}
    predicted = {name: [] for name in found}
    for _ in range(5):
        c, J, logits, labels = draw(rng, aligned=aligned)
        p = softmax(logits)
        H, g = hessian_and_gradient(J, p, labels)
        values, vectors = np.linalg.eigh(H)
        theory = AnisotropicTheory(p, labels, c @ c.T, SPECTRUM, D, c)
        found["outliers"].append(values[::-1][:4])
        found["power"].append(np.square(vectors[:, -4:].T @ g).sum() / (g @ g))
        found["trace"].append(np.trace(H))
        found["square"].append(np.sum(H**2))
        predicted["outliers"].append(theory.outliers[:4])
        predicted["power"].append(theory.gradient_power.sum())
        predicted["trace"].append(theory.trace)
        predicted["square"].append(theory.frobenius_norm**2)
    mean = {name: np.mean(values, axis=0) for name, values in predicted.items()}
    truth = {name: np.mean(values, axis=0) for name, values in found.items()}
    np.testing.assert_allclose(mean["outliers"], truth["outliers"], rtol=0.02)
    assert mean["power"] == pytest.approx(truth["power"], abs=0.03)
    assert mean["trace"] == pytest.approx(truth["trace"], rel=0.01)
    assert mean["square"] == pytest.approx(truth["square"], rel=0.02)


@pytest.mark.slow
def test_the_bulk_against_draws():
    rng = np.random.default_rng(1)
    top, inside, edges, shares = [], [], [], []
    for _ in range(12):
        _, J, logits, labels = draw(rng, sigma_c=0.0)
        p = softmax(logits)
        H, _ = hessian_and_gradient(J, p, labels)
        values = np.linalg.eigvalsh(H)
        bulk = AnisotropicTheory(p, labels, np.zeros((C, C)), SPECTRUM, D).bulk
        middle = bulk.edge / 4
        x = np.linspace(middle, bulk.edge, 200)
        top.append(values[-1])
        edges.append(bulk.largest_eigenvalue)
        inside.append(np.mean(values > middle))
        shares.append(trapezoid(bulk.density(x), x))
    assert np.mean(edges) == pytest.approx(np.mean(top), rel=0.04)  # of 90 dimensions
    assert np.mean(shares) == pytest.approx(np.mean(inside), rel=0.03)


@pytest.mark.usefixtures("unchecked")
def test_the_density_has_the_moments_of_the_bulk():
    # tr A₀ᵀA₀ has the mean (Σ m/N)(Σ s), and all eigenvalues are counted.
    rng = np.random.default_rng(0)
    m, s = rng.uniform(0.1, 0.5, 300), np.linspace(0.4, 0.1, 100)
    bulk = AnisotropicBulk(m, s, 120, 60)
    x = np.linspace(0.0, bulk.edge, 4001)[1:]
    density = bulk.density(x)
    assert trapezoid(density, x) + bulk.atom_at_zero == pytest.approx(1, abs=1e-3)
    assert trapezoid(x * density, x) * 120 == pytest.approx(m.sum() / 60 * s.sum(), rel=1e-3)
    assert bulk.atom_at_zero == pytest.approx(20 / 120)


def test_the_share_below_is_that_of_draws_and_the_integral_of_the_density():
    rng = np.random.default_rng(0)
    m = 0.1 + 0.4 * rng.random(N)
    bulk = AnisotropicBulk(m, SPECTRUM, D, N)
    A = np.sqrt(m / N)[:, None] * rng.standard_normal((N, D)) * np.sqrt(SPECTRUM)
    drawn = np.linalg.eigvalsh(A @ A.T)
    x = np.quantile(drawn, [0.1, 0.5, 0.9])
    of_draws = 1 - np.array([(drawn > place).sum() for place in x]) / D
    below = bulk.share_below(x)
    assert below == pytest.approx(of_draws, abs=0.01)
    fine = np.geomspace(x[0], x[-1], 300)
    assert trapezoid(bulk.density(fine), fine) == pytest.approx(below[-1] - below[0], abs=1e-3)
    ends = bulk.share_below(bulk.edge * np.array([1e-9, 1.1]))
    assert ends == pytest.approx([bulk.atom_at_zero, 1.0], abs=1e-6)


def test_the_solution_is_the_resolvent_s_and_slopes_are_derivatives():
    bulk = AnisotropicTheory(np.full((40, 4), 0.25), np.arange(40) % 4, np.eye(4), SPECTRUM, D).bulk
    for z in (1.01 * bulk.edge, 3 * bulk.edge, 1e4 * bulk.edge):
        e, e_slope, b, b_slope = bulk.solution(z)
        assert e == pytest.approx(-np.sum(SPECTRUM / (z - b * SPECTRUM)), rel=1e-9)
        assert b == pytest.approx(np.sum(bulk.curvatures / 40 / (1 + e * bulk.curvatures / 40)))
        up, down = bulk.solution(z * (1 + 1e-5)), bulk.solution(z * (1 - 1e-5))
        assert e_slope == pytest.approx((up[0] - down[0]) / (2e-5 * z), rel=1e-4)
        assert b_slope == pytest.approx((up[2] - down[2]) / (2e-5 * z), rel=1e-4)


@pytest.mark.slow
def test_typical_places_of_all_eigenvalues_against_draws():
    # One direction of Σ stands out: its own band of one eigenvalue lies among the outliers.
    spectrum = SPECTRUM.copy()
    spectrum[0] = 0.3
    rng = np.random.default_rng(7)
    found, predicted = [], []
    for _ in range(8):
        c, J, logits, labels = draw(rng)
        J = c + (J - c) * np.sqrt(spectrum / SPECTRUM)
        p = softmax(logits)
        H, _ = hessian_and_gradient(J, p, labels)
        theory = AnisotropicTheory(p, labels, c @ c.T, spectrum, D, c)
        found.append(np.linalg.eigvalsh(H)[::-1][:12])
        predicted.append(theory.eigenvalues(12))
    np.testing.assert_allclose(np.mean(predicted, axis=0), np.mean(found, axis=0), rtol=0.04)
    assert len(theory.outliers) < 4  # what the edge alone would say


@pytest.mark.parametrize("by_class", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_count_steps_at_outliers_and_integrates_the_density(by_class):
    _, theory = isotropic_pair(1000, 0.3, by_class)
    outliers = theory.outliers[:3]
    np.testing.assert_allclose(theory.eigenvalues(3), outliers, rtol=1e-3)
    count = SpectralCount(theory._curvature, theory._residuals)
    assert count.above(100 * theory.edge + outliers[0]) == pytest.approx(0, abs=1e-3)
    # Without centroids, the integral of the density.
    alone = replace(theory, K=np.zeros_like(theory.K), overlaps=None)
    count = SpectralCount(alone._curvature, alone._residuals)
    for share in (0.2, 0.6):
        x = np.linspace(share * alone.edge, alone.edge, 1000)
        inside = 1000 * trapezoid(alone.density(x), x)
        assert count.above(share * alone.edge) == pytest.approx(inside, rel=0.002)


def fit_draw(rng, weights="uniform", **choices):
    c, J, logits, labels = draw(rng, aligned=0.5)
    rows = J.reshape(-1, D)
    fit = fit_measured(
        rows @ rows.T, logits, labels, D, residuals="anisotropic", weights=weights, **choices
    )
    truth = AnisotropicTheory(softmax(logits), labels, c @ c.T, SPECTRUM, D, c)
    return fit, truth


@pytest.mark.parametrize("weights", ["uniform", "curvature"])
@pytest.mark.usefixtures("unchecked")
def test_the_fit_of_draws_predicts_as_the_true_parameters_do(weights):
    rng = np.random.default_rng(2)
    pairs = [fit_draw(rng, weights) for _ in range(4)]
    fitted = [fit.theory() for fit, _ in pairs]
    of_fits = np.mean([theory.outliers[:4] for theory in fitted], axis=0)
    of_truth = np.mean([truth.outliers[:4] for _, truth in pairs], axis=0)
    measured = np.mean([fit.measured.eigenvalues()[:4] for fit, _ in pairs], axis=0)
    np.testing.assert_allclose(of_fits, of_truth, rtol=0.04)
    np.testing.assert_allclose(of_fits, measured, rtol=0.04)
    of_truths = [truth.edge for _, truth in pairs]
    edges = np.mean([theory.edge for theory in fitted]), np.mean(of_truths)
    # The spectrum of a sample's covariance is wider than the true one, here by some 20 %.
    assert 1 < edges[0] / edges[1] < 1.3
    power = np.mean([theory.gradient_power.sum() for theory in fitted])
    of_draws = np.mean([fit.measured.gradient_power(4)[-1] for fit, _ in pairs])
    assert power == pytest.approx(of_draws, abs=0.03)


@pytest.mark.slow
def test_the_table_of_an_anisotropic_fit():
    fit, _ = fit_draw(np.random.default_rng(8))
    rows = {row.quantity: row for row in fit.table()}
    assert rows["outlier 4"].predicted == fit.theory().eigenvalues(4)[3]
    assert rows["outlier 4"].ratio == pytest.approx(1, abs=0.1)
    assert rows["edge, λ_5"].measured == fit.measured.eigenvalues()[4]


@pytest.mark.parametrize("weights", ["uniform", "curvature"])
@pytest.mark.usefixtures("unchecked")
def test_the_gram_is_debiased(weights):
    # Six examples: the errors of the centroids are a sixth of the residuals' length.
    rng = np.random.default_rng(3)
    c = rng.standard_normal((C, D)) / np.sqrt(D)
    logits = rng.standard_normal((6, C))
    centre = np.eye(C) - (1 / C if weights == "curvature" else 0)  # M knows differences alone
    truth = centre @ c @ c.T @ centre
    grams, spectra, raw = [], [], []
    num_draws = 150
    for _ in range(num_draws):
        rows = (c + rng.standard_normal((6, C, D)) * np.sqrt(SPECTRUM)).reshape(-1, D)
        measured = MeasuredLandscape(rows @ rows.T, logits, np.zeros(6, dtype=int), D)
        clusters = Clusters(measured, "centroids", weights)
        grams.append(clusters.gram)
        raw.append(clusters.raw_gram)
        spectra.append(clusters.covariance_spectrum.sum())
    error = np.std(grams, axis=0) / num_draws**0.5
    assert (np.abs(np.mean(grams, axis=0) - truth) < 4.5 * error).all()
    assert (np.diag(np.mean(raw, axis=0) - truth) > 8 * np.diag(error)).all()
    assert np.mean(spectra) == pytest.approx(0.5, abs=4 * np.std(spectra) / num_draws**0.5)


def correlated(rng):
    """Residuals whose length and direction depend on the probabilities."""
    _, J, logits, labels = draw(rng, num_examples=60)
    return J * (1 + 2 * softmax(logits)[:, :, None]), logits, labels


@pytest.mark.parametrize("means", ["centroids", "class"])
def test_curvature_weights_keep_the_trace_and_no_cross_term(means):
    J, logits, labels = correlated(np.random.default_rng(4))
    rows = J.reshape(-1, D)
    fit = fit_measured(rows @ rows.T, logits, labels, D, means, "anisotropic", "curvature")
    assert fit.theory().trace == pytest.approx(fit.measured.trace(), rel=1e-9)
    p = softmax(logits)
    M = p[:, :, None] * np.eye(C) - p[:, :, None] * p[:, None, :]
    E = (rows - fit.clusters.mean_rows(rows)).reshape(J.shape)
    for group in range(len(fit.clusters.counts)):
        members = fit.clusters.groups == group
        assert np.abs(np.einsum("nkl,nld->kd", M[members], E[members])).max() < 1e-10
    scatter = np.einsum("nkd,nkl,nle->de", E, M, E) / fit.clusters.degrees_of_freedom
    spectrum = fit.clusters.covariance_spectrum
    np.testing.assert_allclose(
        spectrum, np.linalg.eigvalsh(scatter)[::-1][: len(spectrum)], atol=1e-12
    )
    overlaps = fit.clusters.overlaps
    c = fit.clusters.centroid_rows(rows)
    np.testing.assert_allclose(overlaps * spectrum @ overlaps.T, c @ scatter @ c.T, atol=1e-10)


@pytest.mark.parametrize("kind", ["shuffled", "signs"])
def test_surrogates_keep_centroids_and_redraw_residuals(kind):
    J, logits, labels = correlated(np.random.default_rng(5))
    rows = J.reshape(-1, D)
    measured = MeasuredLandscape(rows @ rows.T, logits, labels, D)
    clusters = Clusters(measured, "class")
    found = surrogate(clusters, kind, seed=6)
    rng = np.random.default_rng(6)
    means = np.stack([J[labels == a].mean(0) for a in range(C)])[labels]
    E = J - means
    if kind == "signs":
        E = rng.choice([-1.0, 1.0], len(J))[:, None, None] * E
    else:
        for a in range(C):
            own = np.flatnonzero(labels == a)
            E[own] = E[rng.permutation(own)]
    redrawn = (means + E).reshape(-1, D)
    np.testing.assert_allclose(found.gram, redrawn @ redrawn.T, atol=1e-9)


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        (lambda c: surrogate(c, "rotated"), "kind is 'rotated'"),
        (lambda c: Clusters(c.landscape, "class", "length"), "weights is 'length'"),
        (
            lambda c: AnisotropicTheory(
                np.full((2, 2), 0.5), np.zeros(2, int), np.eye(2), np.zeros(2), 9
            ),
            "covariance_spectrum of shape",
        ),
        (
            lambda c: AnisotropicTheory(
                np.full((2, 2), 0.5), np.zeros(2, int), np.eye(2), np.ones(3), 2
            ),
            "num_params is 2",
        ),
    ],
)
def test_bad_input(action, sentence):
    measured = MeasuredLandscape(np.eye(8), np.zeros((4, 2)), np.arange(4) % 2, 8)
    with pytest.raises(ValueError, match=sentence):
        action(Clusters(measured, "centroids"))
