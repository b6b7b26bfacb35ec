"""What the experiments of the random model compute, against references of their own."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from landscope.experiments.random_model import (
    draw,
    eigenspectrum,
    freezing,
    gradient_overlap,
    phase,
    top_eigenvalue,
    trace_over_norm,
)
from landscope.experiments.random_model.draw import describe, num_detached
from landscope.experiments.random_model.sweep import sweep
from landscope.random_model import RandomModel

SMALL = RandomModel(num_classes=4, num_examples=60, num_params=120)


def verdicts(claims):
    return [claim.verdict for claim in claims]


@pytest.fixture(scope="module")
def drawn():
    return describe(SMALL, seed=2)


def test_cosines_and_spectrum_are_those_of_the_dense_hessian(drawn):
    land = SMALL.sample(2)
    H, g = land.hessian(), land.gradient()
    values, vectors = np.linalg.eigh(H)
    values, vectors = values[::-1], vectors[:, ::-1]
    k = len(drawn["eigenvalue"])
    np.testing.assert_allclose(drawn["eigenvalue"], values[:k], atol=1e-12)
    cosines = np.abs(g @ vectors[:, :20]) / np.linalg.norm(g)
    np.testing.assert_allclose(drawn["cosine"][:20], cosines, atol=1e-8)
    assert float(drawn["trace_over_norm"]) == pytest.approx(np.trace(H) / np.linalg.norm(H))


def test_the_histogram_counts_every_eigenvalue_and_the_theory_all_but_the_outliers(drawn):
    width = np.log(drawn["bin_right"] / drawn["bin_left"]).values
    assert (drawn["count_density"] * width).sum() == pytest.approx(len(drawn["eigenvalue"]))
    predicted = float((drawn["count_density_theory"] * width).sum())
    assert predicted == pytest.approx(SMALL.num_params, rel=0.02)


def test_the_bulk_of_huge_dimension_is_counted_tooth_by_tooth():
    model = replace(SMALL, num_params=10**12)
    one = describe(model, seed=0)
    width = np.log(one["bin_right"] / one["bin_left"]).values
    counts = (one["count_density_theory"] * width).sum()
    assert float(counts) == pytest.approx(60 * 3, rel=0.02)


@pytest.mark.parametrize("num_params", [40, 10**9])
def test_without_centroids_nothing_is_detached(num_params):
    model = replace(SMALL, sigma_c=0.0, num_params=num_params)
    counts = [
        num_detached(land.eigenvalues(), land.theory())
        for land in (model.sample(seed) for seed in range(10))
    ]
    assert sum(counts) <= 1


def test_without_residuals_all_that_is_left_is_detached():
    land = replace(SMALL, sigma_e=0.0).sample(0)
    assert num_detached(land.eigenvalues(), land.theory()) == 3


def test_a_sweep_draws_the_same_seeds_at_each_point():
    models = [replace(SMALL, sigma_c=length, sigma_e=0.7 * length) for length in (1.0, 2.0)]
    swept = sweep(models, seed=5, num_draws=2)
    small, large = swept["top_eigenvalue"].values
    np.testing.assert_allclose(large, 4 * small)
    for place in range(2):
        assert small[place] == pytest.approx(models[0].sample(5 + place).eigenvalues()[0])
    assert float(swept["last_outlier"][0, 0]) == pytest.approx(models[0].sample(5).eigenvalues()[2])


@pytest.mark.usefixtures("unchecked")
def test_eigenspectrum_counts_outliers_of_each_kind(monkeypatch):
    monkeypatch.setattr(draw, "NUM_AVERAGED", 1)
    reference = RandomModel(num_classes=3, num_examples=90, num_params=150, sigma_e=0.2)
    dataset = eigenspectrum.compute(0, reference=reference, num_draws=2)
    counts = dataset["outliers_drawn"].mean("draw")
    numbers = dict(zip(dataset["variant"].values, counts.values, strict=True))
    assert numbers[eigenspectrum.EQUAL] == numbers[eigenspectrum.UNEQUAL] == 2
    assert numbers[eigenspectrum.GROUPS["full"]] == 6
    assert numbers[eigenspectrum.GROUPS["own"]] == 5
    assert numbers[eigenspectrum.GROUPS["shared"]] == 2
    found = verdicts(eigenspectrum.claims(dataset))
    assert found[:2] == ["holds", "does not hold"]
    assert found[3:] == ["holds"] * 3


def test_gradient_overlap_keeps_the_share_of_each_draw(monkeypatch):
    monkeypatch.setattr(draw, "NUM_AVERAGED", 1)
    dataset = gradient_overlap.compute(3, reference=SMALL, num_draws=3)
    for place in range(3):
        land = SMALL.sample(3 + place)
        _, vectors = np.linalg.eigh(land.hessian())
        g = land.gradient()
        share = np.sum((g @ vectors[:, -4:]) ** 2) / (g @ g)
        kept = dataset["top_power"].sel(labels="uniform")[place]
        assert float(kept) == pytest.approx(share, rel=1e-6)
    assert len(gradient_overlap.claims(dataset)) == 4


def test_the_claim_about_one_draw_fails_where_no_draw_is_like_it():
    power = np.full((2, 20), 0.2) + 0.01 * np.arange(20) / 20
    dataset = xr.Dataset(
        {
            "top_power": (("labels", "draw"), power),
            "top_power_theory": (("labels", "draw"), power),
            "limit_mean": 0.64,
            "limit_deviation": 0.1,
        },
        coords={"labels": ["uniform", "sampled"]},
        attrs={"num_classes": 10},
    )
    found = verdicts(gradient_overlap.claims(dataset))
    assert found == ["does not hold", "does not hold", "does not hold", "holds"]


def growth(beta):
    sigma_z = np.geomspace(0.1, 8, 12)
    return xr.Dataset(
        {
            "sigma_z": ("training_step", sigma_z),
            "sigma_c": ("training_step", 2 * sigma_z ** (beta / 2)),
            "sigma_e": ("training_step", 1.5 * sigma_z ** (beta / 2)),
        },
        coords={"training_step": np.arange(12)},
    )


@pytest.mark.usefixtures("unchecked")
def test_the_largest_eigenvalue_has_a_maximum_for_slow_growth_alone():
    reference = replace(SMALL, num_classes=10, num_examples=40)
    dataset = top_eigenvalue.compute(
        0, growth=growth(0.5), reference=reference, num_spreads=3, num_draws=2
    )
    first, slow, fast = dataset["limit_peak"].values
    spreads = dataset["fine_sigma_z"].values
    assert (first, fast) == (spreads[0], spreads[-1])
    assert slow == pytest.approx(1.7, abs=0.1)
    assert float(dataset["growth_exponent"]) == pytest.approx(0.5)
    assert float(dataset["late_exponent"]) == pytest.approx(0.5)
    land = replace(reference, sigma_z=spreads[0]).sample(1)
    assert float(dataset["top_eigenvalue"][0, 1]) == pytest.approx(land.eigenvalues()[0])
    assert verdicts(top_eigenvalue.claims(dataset))[2] == "holds"


@pytest.mark.parametrize(("beta", "verdict"), [(0.5, "holds"), (1.4, "does not hold")])
def test_the_growth_of_a_network_decides_its_claim(beta, verdict):
    dataset = top_eigenvalue.compute(
        0, growth=growth(beta), reference=SMALL, num_spreads=2, num_draws=2
    )
    assert verdicts(top_eigenvalue.claims(dataset))[2] == verdict


def test_trace_over_norm_falls_less_with_more_examples():
    dataset = trace_over_norm.compute(
        0, reference=RandomModel(), examples=(100, 1000), num_spreads=2, num_draws=2
    )
    few, many = dataset["ratio_theory"].values
    # Measured once on draws: 4.40 to 3.20 and 4.41 to 4.21.
    np.testing.assert_allclose(few[[0, -1]], [4.40, 3.20], atol=0.08)
    np.testing.assert_allclose(many[[0, -1]], [4.41, 4.21], atol=0.05)
    assert verdicts(trace_over_norm.claims(dataset)) == ["holds", "does not hold", "holds"]


def test_freezing_samples_agree_with_the_quadrature_and_points_lie_on_the_simplex():
    dataset = freezing.compute(0, num_points=20, num_spreads=5)
    np.testing.assert_allclose(dataset["probability"].sum("class"), 1)
    assert verdicts(freezing.claims(dataset)) == ["holds", "holds", "holds", "holds in part"]
    uniform = dataset["participation"].sel(num_classes=10, reduced_sigma=0)
    assert float(uniform) == pytest.approx(0.1)


def test_phases_count_by_thresholds_what_the_theory_counts_directly():
    axes = {"num_examples": (40, 80), "num_params": (60, 200)}
    dataset = phase.compute(0, reference=SMALL, axes=axes, sampled=axes, num_draws=2)
    ratio = float(dataset["ratio"][50])
    model = replace(SMALL, num_examples=80, sigma_c=ratio, sigma_e=1.0)
    theories = model.theory(2, 0).draws
    expected = np.mean([len(theory.outliers) for theory in theories])
    assert float(dataset["detached_num_examples"][-1, 50]) == expected
    assert float(dataset["detached_num_params"].max()) == 3
    assert verdicts(phase.claims(dataset))[0] == "holds"
