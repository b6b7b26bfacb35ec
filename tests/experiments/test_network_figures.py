"""Experiments on networks, at a tiny scale: numbers against brute force, pictures, tables."""

from dataclasses import replace
from functools import partial, update_wrapper

import numpy as np
import pytest
import torch
import xarray as xr
from tests.figures.whole import assert_shown, assert_whole
from tests.reference.clustering import Clustering

from landscope import geometry
from landscope.experiments import SCALES, Networks, Reproduction, reproduce
from landscope.experiments.networks import (
    clustering,
    clusters,
    goldilocks,
    growth,
    hyperplane,
    logit_curvature,
    measurements,
    properties,
    simplex,
    weight_scale,
)
from landscope.experiments.networks.cell import STAGES, Cell
from landscope.experiments.networks.grid import Grid
from landscope.experiments.networks.scale import (
    FULLY_CONNECTED,
    NETWORK_TITLES,
    SMALL_CNN,
    Scale,
)
from landscope.figures.gallery import file_stem
from landscope.figures.networks import (
    PICTURES,
    clustering_grid,
    curvature_transient,
    outlier_count,
    outlier_origin,
)
from landscope.figures.networks import clusters as clusters_picture
from landscope.hyperplanes import BasisKind, draw_basis
from landscope.operators import Hessian
from landscope.problem import Problem
from landscope.training.trainer import measured_problem
from landscope.zoo import load_dataset, make_network


class Narrow(Scale):
    """Networks of a quarter of the width, where an experiment does not choose it."""

    def training(self, data, network=SMALL_CNN, **choices):
        return super().training(data, network, **{"width": 0.25} | choices)


TINY = Narrow(
    datasets=("digits",),
    colour="digits",
    grey="digits",
    wide="digits",
    steps={"fully_connected": 4, "small_cnn": 4, "resnet20": 3},
    num_seeds=2,
    num_examples=20,
    few_examples=12,
    wide_examples=8,
    num_measurements=2,
    class_counts=(2, 3),
    many_classes=(),
    learning_rates=(0.05, 0.1),
    transient_steps=4,
    widths=(0.25, 0.5),
    num_radii=2,
    dims=(4, 16),
    hyperplane_networks=(("digits", FULLY_CONNECTED), ("digits", SMALL_CNN)),
    hyperplane_steps=4,
    hyperplane_seeds=2,
    test_examples=20,
)
# Of these, tests/figures draws pictures of several seeds, with their layout, from made-up numbers.
DRAWN_ELSEWHERE = ("fig4", "logit_curvature", "weight_scale")
MADE = {
    "fig1": clustering,
    "fig2": clusters,
    "fig3a": simplex,
    "fig4": growth,
    "properties": properties,
    "logit_curvature": logit_curvature,
    "weight_scale": weight_scale,
    "hyperplane": hyperplane,
    "goldilocks": goldilocks,
}


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    return Grid(tmp_path_factory.mktemp("cells"), processes=1)


HUNDREDS_OF_PRODUCTS = {
    "curvature": ("probabilities", "class_decomposition"),
    "split": ("probabilities",),
    "weight_scale": ("probabilities", "clustering"),
    "sharpness": ("probabilities",),
}


def measured_without_lanczos(problem, seed=0, reference=None, *, parts):
    """Stand for the measurements that take hundreds of products, in a hundredth of their time.

    G is exact, from its kernel, where it is decomposed, and made up where not; H is taken for G.
    """
    measured = geometry.measure(problem, parts=parts, seed=seed)
    rng = np.random.default_rng(seed)
    values = np.sort(rng.exponential(size=20))[::-1]
    if "class_decomposition" in parts:
        values = geometry.class_decomposition(problem).eigenvalues.numpy()
    cosines = rng.uniform(-0.3, 0.3, len(values))
    curved = {
        f"{name}_{quantity}": value
        for name in ("hessian", "gauss_newton")
        for quantity, value in {
            "eigenvalues": ("rank", values),
            "gradient_cosines": ("rank", cosines),
            "gradient_power": ("rank", np.cumsum(cosines**2)),
            "num_outliers": geometry.find_outliers(values).count,
            "bulk_edge": float(values[-1]),
            "trace_over_norm": 3.0,
        }.items()
    }
    of_r = {"ratio": 0.5, "ratio_stderr": 0.1, "gauss_newton_share": 0.9, "top_ratio": 0.2}
    largest = {"lambda_max": values[0], "lambda_max_gauss_newton": values[0]}
    drift = np.nan if reference is None else float(rng.uniform())
    tables = ["probabilities", "targets", "clustering_table", "centroids_gram"]
    kept = measured.drop_vars(tables, errors="ignore")
    return kept.assign(curved | of_r | largest | {"tangent_kernel_drift": drift})


@pytest.fixture(scope="module")
def computed(grid):
    """Each data set, computed when it is first asked for."""

    class Computed(dict):
        def __missing__(self, name):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(clustering, "NONLINEARITIES", ("tanh",))
                # ResNet-20 takes ten times as long: the smoke scale has it.
                few = {name: NETWORK_TITLES[name] for name in (FULLY_CONNECTED, SMALL_CNN)}
                patch.setattr(clustering, "NETWORK_TITLES", few)
                patch.setattr(logit_curvature, "NETWORKS", (SMALL_CNN,))
                patch.setattr(goldilocks, "NONLINEARITIES", ("tanh",))
                patch.setattr(goldilocks, "TRAIN_DIM", 8)
                patch.setattr(measurements, "HYPERPLANE_DIM", 4)
                patch.setattr(measurements, "NUM_HYPERPLANES", 2)
                for slow, parts in HUNDREDS_OF_PRODUCTS.items():
                    quick = partial(measured_without_lanczos, parts=parts)
                    patch.setattr(
                        measurements, slow, update_wrapper(quick, getattr(measurements, slow))
                    )
                num_seeds = 1 if name in DRAWN_ELSEWHERE else TINY.num_seeds
                scale = replace(TINY, num_seeds=num_seeds)
                self[name] = MADE[name].compute(grid=grid, scale=scale)
            return self[name]

    return Computed()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["properties", "logit_curvature", "weight_scale"])
def test_real_measurements_are_claimed_and_drawn(name, computed, tmp_path):
    dataset = MADE[name].compute(grid=Grid(tmp_path), scale=TINY)
    assert set(dataset.data_vars) == set(computed[name].data_vars)
    assert all(dataset[one].dims == computed[name][one].dims for one in dataset.data_vars)
    assert MADE[name].claims(dataset)
    for picture in PICTURES[name]:
        assert all(axes.has_data() for axes in picture.figure(dataset).axes)


def test_every_picture_of_networks_is_drawn_here():
    assert MADE.keys() == PICTURES.keys()


LONG = ("goldilocks", "hyperplane", "properties")
"""What takes longest to compute even at a tiny scale."""
EACH = [(name, picture) for name, pictures in PICTURES.items() for picture in pictures]


def named(pairs):
    return [
        pytest.param(n, p, marks=pytest.mark.slow if n in LONG else [], id=f"{n}-{file_stem(p)}")
        for n, p in pairs
    ]


@pytest.mark.parametrize(
    ("name", "picture"), named(one for one in EACH if one[0] not in DRAWN_ELSEWHERE)
)
def test_a_picture_is_whole_and_says_how_to_read_it(name, picture, computed):
    assert_whole(picture, computed[name])


@pytest.mark.parametrize(
    ("name", "picture"), named(one for one in EACH if one[0] in DRAWN_ELSEWHERE)
)
@pytest.mark.usefixtures("not_laid_out")
def test_what_was_computed_is_shown(name, picture, computed):
    assert_shown(picture, computed[name])


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LONG else []) for n in MADE]
)
def test_claims_are_held_against_numbers(name, computed):
    claims = MADE[name].claims(computed[name])
    assert len(claims) > 1
    assert all(any(character.isdigit() for character in claim.measured) for claim in claims)


def test_the_same_again_gives_the_same_tables(computed, grid, tmp_path, monkeypatch):
    monkeypatch.setitem(SCALES, "smoke", TINY)
    assert computed["fig2"]
    how = Reproduction(clusters.compute, clusters.claims, "networks")
    # One from the cells that are there, one from cells of its own.
    runs = [
        reproduce("fig2", how, tmp_path / str(place), networks=Networks("smoke", grid=where))
        for place, where in enumerate([grid, Grid(tmp_path / "cells", processes=1)])
    ]
    first, second = (sorted((run.path / "tables").iterdir()) for run in runs)
    assert [file.name for file in first] == [file.name for file in second]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True))


def explicit_jacobian(model, inputs):
    """J (N, C, D), one example and one logit at a time."""
    weights = list(model.parameters())
    return torch.stack(
        [
            torch.stack(
                [
                    torch.cat(
                        [g.flatten() for g in torch.autograd.grad(z, weights, retain_graph=True)]
                    )
                    for z in model(one[None])[0]
                ]
            )
            for one in inputs
        ]
    )


@pytest.fixture(scope="module")
def sixty():
    """A SmallCNN on 60 digits in float32, and its explicit logit gradients in float64."""
    data = load_dataset("digits", max_examples=60, max_test_examples=1)
    model = make_network("small_cnn", data.input_shape, 10, width=0.25)
    problem = Problem(model, data.train)
    jacobian = explicit_jacobian(model.double(), data.train_inputs.double())
    return problem, Clustering(jacobian, data.train_targets)


def test_clustering_is_that_of_brute_force(sixty):
    problem, brute = sixty
    measured = measurements.clustering(problem)
    for name in ("q_slsc", "q_sl", "q_dl", "q_dl_abs"):
        assert float(measured[name]) == pytest.approx(getattr(brute, name)(), abs=1e-5), name


def test_cosines_with_means_are_those_of_brute_force(sixty):
    problem, brute = sixty
    measured = clusters.with_centroids(problem)
    J, labels = brute.jacobian, brute.classes
    for mu, k, one in [(0, 3, 3), (7, 2, 5), (50, 9, 0), (33, int(labels[33]), 4)]:
        others = torch.arange(len(J)) != mu
        centroid = J[others, one].mean(0)
        cosine = torch.cosine_similarity(J[mu, k], centroid, dim=0)
        found = float(measured["cosine"].sel(example=mu, logit=k, centroid=one))
        assert found == pytest.approx(float(cosine), abs=1e-5)
        group = others & ((labels == k) == (labels[mu] == k))
        cosine = torch.cosine_similarity(J[mu, k], J[group, k].mean(0), dim=0)
        found = float(measured["group_cosine"].sel(example=mu, logit=k))
        assert found == pytest.approx(float(cosine), abs=1e-5)


def test_coordinates_are_those_in_the_span_of_the_centroids():
    data = load_dataset("digits", classes=(0, 1, 2), max_examples=30, max_test_examples=1)
    model = make_network("small_cnn", data.input_shape, 3, width=0.25)
    measured = clusters.in_centroid_space(Problem(model, data.train))
    J = explicit_jacobian(model.double(), data.train_inputs.double())
    centroids = J.mean(0)
    # Löwdin's axes from the singular value decomposition, as another way to them.
    U, _, Vt = torch.linalg.svd(centroids, full_matrices=False)
    axes = U @ Vt
    unit = J.square().sum(2).mean().sqrt()
    inside = J @ axes.T
    np.testing.assert_allclose(measured["coordinate"], inside / unit, atol=1e-5)
    np.testing.assert_allclose(measured["centroid"], centroids @ axes.T / unit, atol=1e-5)
    outside = 1 - inside.square().sum(2) / J.square().sum(2)
    np.testing.assert_allclose(measured["outside"], outside, atol=1e-4)


def test_stages_are_those_of_training(computed):
    dataset = computed["fig1"]
    assert dataset["stage"].values.tolist() == list(STAGES)
    steps = dataset["stage_step"].sel(network="SmallCNN").values
    assert steps.tolist() == [0, 2, 3, 4]
    config = TINY.training("digits", nonlinearity="tanh", measure_examples=12, seed=1)
    first = measurements.clustering(measured_problem(config))
    cell = dataset.sel(data="Digits (8 x 8)", network="SmallCNN", seed=1, stage="initialisation")
    assert float(cell["q_sl"].item()) == pytest.approx(float(first["q_sl"]), rel=1e-6)


def test_cells_where_a_claim_fails_are_named():
    q = xr.DataArray([[0.9, 0.5]], {"network": ["A"], "stage": ["early", "late"]}).expand_dims(
        seed=[0]
    )
    dataset = xr.Dataset(
        {"q_slsc": q + 0.1, "q_sl": q, "q_dl": 0 * q + 0.01, "q_dl_abs": 0 * q + 0.25}
    )
    claims = clustering.claims(dataset)
    assert [claim.verdict for claim in claims] == ["holds", "holds", "does not hold", "holds"]
    assert claims[2].measured.endswith("not in: A, late")
    assert claims[2].measured.startswith("1 of 2 cells")


def test_bars_are_means_over_seeds_with_two_standard_errors(computed):
    dataset = computed["fig1"]
    figure = clustering_grid.figure(dataset)
    cell = dataset["q_slsc"].isel(data=0, nonlinearity=0, network=0)
    bars, *_ = figure.axes[0].containers[1::2]
    heights = [bar.get_height() for bar in bars]
    np.testing.assert_allclose(heights, cell.mean("seed"), rtol=1e-6)
    panel = clustering_grid._panel(
        dataset, "Digits (8 x 8)", "tanh", "FullyConnected", title_data=True
    )
    error = 2 * cell.std("seed", ddof=1) / 2**0.5
    np.testing.assert_allclose(panel.curves[0].error, error, rtol=1e-6)


def test_arrows_end_at_the_centroids(computed):
    dataset = computed["fig2"]
    arrows = [text for text in clusters_picture.figure(dataset).axes[0].texts if text.arrow_patch]
    tips = np.array([arrow.xy for arrow in arrows])
    centroids = dataset["centroid"].isel(stage=0).values
    # Along (1, 1, 1), with the first axis up.
    up = (2 * centroids[:, 0] - centroids[:, 1] - centroids[:, 2]) / 6**0.5
    across = (centroids[:, 2] - centroids[:, 1]) / 2**0.5
    np.testing.assert_allclose(tips, np.stack([across, up], axis=1), atol=1e-9)


@pytest.mark.slow
def test_shares_add_up_and_levels_stand_where_they_should(computed):
    dataset = computed["properties"]
    shares = dataset["part_share"].isel(seed=0).sum("part").values
    np.testing.assert_allclose(shares, 1, rtol=1e-9)
    left = curvature_transient.figure(dataset).axes[0]
    levels = [line.get_ydata()[0] for line in left.lines if line.get_linestyle() == "--"]
    assert levels == pytest.approx([2 / 0.05, 2 / 0.1])
    counted = outlier_count.figure(dataset).axes[1]
    levels = [line.get_ydata()[0] for line in counted.lines if line.get_linestyle() == "--"]
    assert levels == [1.0, 2.0]
    values = outlier_origin.figure(dataset).axes[0].lines[0].get_ydata()
    expected = dataset["gauss_newton_eigenvalues"].isel(training_step=0, seed=0)
    np.testing.assert_allclose(values, expected.dropna("rank"))


@pytest.mark.slow
def test_parts_of_g_have_the_spectrum_of_lanczos(computed):
    dataset = computed["properties"].isel(training_step=-1, seed=1)
    # v_jᵀG_part v_j summed over parts is λ_j: the traces of the parts sum to that of G.
    total = float(dataset["part_trace"].sum())
    assert total >= float(dataset["gauss_newton_eigenvalues"].sum()) * (1 - 1e-3)


@pytest.mark.slow
def test_the_accuracy_in_a_hyperplane_is_that_of_its_own_training(computed, grid):
    dataset = computed["hyperplane"].isel(data=0)
    assert dataset["num_params"].sel(network="FullyConnected").item() == 55_210
    config = hyperplane._training(TINY, ("digits", SMALL_CNN), 1, 16, 1, BasisKind.FASTFOOD)
    size = int(dataset["num_params"].sel(network="SmallCNN"))
    config = config.model_copy(update={"learning_rate": 0.01 * (size / 16) ** 0.5})
    (trained,) = grid.trained([Cell(config, measurements.loss)])
    found = dataset["accuracy"].sel(network="SmallCNN", dim=16, seed=1).item()
    assert found == trained.run.snapshot(4)["test_accuracy"]


@pytest.mark.slow
def test_the_zone_is_that_of_hyperplanes_at_each_radius(computed):
    dataset = computed["goldilocks"].sel(nonlinearity="tanh", seed=1)
    assert np.log(dataset["radius"].values) == pytest.approx(np.log([0.03, 0.9486833, 30]))
    config = TINY.training("digits", nonlinearity="tanh", measure_examples=12, seed=1)
    problem = measured_problem(config)
    at = problem.at(30 * problem.parameters_vector())
    bases = [draw_basis(BasisKind.DENSE, problem.num_params, 4, seed) for seed in (1, 2)]
    seen = [P.T @ (Hessian(at) @ P.to_dense()) for P in bases]
    ratios = [float(matrix.trace() / matrix.norm()) for matrix in seen]
    found = dataset["trace_over_norm"].sel(radius=30, method="nearest")
    assert float(found) == pytest.approx(np.mean(ratios), rel=1e-3)
    C = dataset.attrs["num_classes"]
    assert float(dataset["entropy"][0]) == pytest.approx(np.log(C), rel=1e-3)


def test_a_zone_is_found_where_there_is_one_and_not_where_there_is_none():
    radius = np.geomspace(0.03, 30, 7)
    peaked = np.exp(-(np.log(radius) ** 2))
    flat = np.ones(7)
    for course, expected in ((peaked, "holds"), (flat, "does not hold")):
        values = ("radius", "seed"), np.stack([course, 1.01 * course], axis=1)
        one = xr.Dataset({"ratio": values}, {"radius": radius, "nonlinearity": "relu"})
        claim = goldilocks._zone(one, "ratio", "the ratio")
        assert claim.verdict == expected
    rising_again = peaked.copy()
    rising_again[0] = 2.0
    values = ("radius", "seed"), np.stack([rising_again, rising_again], axis=1)
    one = xr.Dataset({"ratio": values}, {"radius": radius, "nonlinearity": "relu"})
    assert goldilocks._zone(one, "ratio", "the ratio").verdict == "holds in part"
