import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from landscope.experiments import (
    REPRODUCTIONS,
    SCALES,
    Networks,
    Reproduction,
    reproduce,
    sample_model,
)
from landscope.experiments.claim import Claim
from landscope.experiments.model_fit import measure_and_fit
from landscope.experiments.network_growth import growth_exponent, network_growth
from landscope.experiments.tables import write_tables
from landscope.figures.experiment_report import HEADINGS, PICTURES
from landscope.problem import Problem
from landscope.runs import Run


def made(seed, progress, growth=None):
    return xr.Dataset({"x": ("place", [1.0 + seed, 2.0])})


def claimed(dataset):
    return [Claim("x is one", "holds", f"{float(dataset['x'][0]):g}")]


def test_a_reproduction_leaves_its_numbers_tables_and_claims(tmp_path):
    run = reproduce("mine", Reproduction(made, claimed), tmp_path / "run", seed=3)
    assert run.snapshot(0)["x"].values.tolist() == [4.0, 2.0]
    assert (tmp_path / "run/tables/place.csv").read_text() == "place,x\n0,4.0\n1,2.0\n"
    (claim,) = json.loads((run.path / "summary.json").read_text())["claims"]
    assert claim == {"statement": "x is one", "verdict": "holds", "measured": "4"}


def test_what_is_there_is_not_computed_again_and_another_seed_is_refused(tmp_path):
    def once(seed, progress):
        calls.append(seed)
        return made(seed, progress)

    calls = []
    for _ in range(2):
        reproduce("mine", Reproduction(once, claimed), tmp_path / "run", seed=3)
    assert calls == [3]
    with pytest.raises(ValueError, match="seed is 3 there and 4 here"):
        reproduce("mine", Reproduction(once, claimed), tmp_path / "run", seed=4)


def test_a_network_is_refused_where_none_is_shown(tmp_path):
    with pytest.raises(ValueError, match="mine shows the random model alone"):
        reproduce("mine", Reproduction(made, claimed), tmp_path / "run", network="runs/demo")


def test_networks_are_trained_in_cells_of_the_run_where_no_grid_is_given(tmp_path):
    def trains(seed, progress, grid, scale, datasets=()):
        return made(seed, progress).assign_attrs(
            cells=str(grid.folder), examples=scale.num_examples, datasets=",".join(datasets)
        )

    how = Reproduction(trains, claimed, "networks on any data")
    networks = Networks("smoke", ("digits",))
    run = reproduce("mine", how, tmp_path / "run", networks=networks)
    attributes = run.snapshot(0).attrs
    assert attributes["cells"] == str(tmp_path / "run/cells")
    assert attributes["examples"] == SCALES["smoke"].num_examples
    assert attributes["datasets"] == "digits"
    with pytest.raises(ValueError, match=r"scale is 'smoke' there and 'quick' here.* and \d+ more"):
        reproduce("mine", how, tmp_path / "run", networks=Networks("quick", ("digits",)))


def test_all_of_cifar_10_is_taken_where_its_subset_is_absent(tmp_path, monkeypatch):
    monkeypatch.delenv("LANDSCOPE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    quick = SCALES["quick"]
    elsewhere = quick.of_files(None)
    assert (elsewhere.datasets, elsewhere.colour) == (
        ("mnist", "fashion_mnist", "cifar10"),
        "cifar10",
    )
    assert replace(elsewhere, datasets=quick.datasets, colour=quick.colour) == quick
    assert SCALES["smoke"].of_files(None) is SCALES["smoke"]
    file = tmp_path / "files/CIFAR10-subset/cifar10-subset.npz"
    file.parent.mkdir(parents=True)
    images, labels = np.zeros((10, 32, 32, 3), np.uint8), np.arange(10)
    np.savez(file, x_train=images, x_test=images, y_train=labels, y_test=labels)
    assert quick.of_files(tmp_path / "files") is quick


def test_unknown_scales_and_data_are_refused(tmp_path):
    with pytest.raises(ValueError, match="scale is 'huge'; it must be one of smoke, quick, full"):
        Networks("huge")
    with pytest.raises(ValueError, match="data names imagenet; accepted are digits"):
        Networks(datasets=("imagenet",))
    with pytest.raises(ValueError, match="data is 'digits'; mine has its own"):
        reproduce(
            "mine", Reproduction(made, claimed), tmp_path, networks=Networks("quick", ("digits",))
        )


def test_every_reproduction_has_pictures():
    assert REPRODUCTIONS.keys() <= PICTURES.keys() == HEADINGS.keys()


def run_of(folder, **series):
    run = Run.create(folder, {"seed": 0})
    for step in range(len(next(iter(series.values())))):
        run.write_snapshot(step, xr.Dataset({name: v[step] for name, v in series.items()}))
    return folder


def test_growth_is_read_off_a_run(tmp_path):
    x = [0.1, 1.0, 10.0]
    folder = run_of(tmp_path / "a", sigma_z=x, sigma_c=[2 * v**0.3 for v in x], sigma_e=x)
    growth = network_growth(folder, tmp_path)
    exponent, stderr = growth_exponent(growth)
    assert exponent == pytest.approx(0.6)
    assert stderr == pytest.approx(0, abs=1e-9)


def test_the_error_of_the_exponent_is_that_of_a_regression():
    rng = np.random.default_rng(0)
    x = np.linspace(-1, 2, 9)
    y = 0.4 * x + 0.1 * rng.standard_normal(9)
    growth = xr.Dataset({"sigma_z": ("s", np.exp(x)), "sigma_c": ("s", np.exp(y / 2))})
    (slope, _), covariance = np.polyfit(x, y, 1, cov=True)
    assert growth_exponent(growth) == pytest.approx((slope, covariance[0, 0] ** 0.5))


def test_a_run_without_growth_is_refused(tmp_path):
    with pytest.raises(ValueError, match="lacks sigma_c, sigma_e"):
        network_growth(run_of(tmp_path / "a", sigma_z=[1.0, 2.0, 3.0]), tmp_path)
    two = {name: [1.0, 2.0] for name in ("sigma_z", "sigma_c", "sigma_e")}
    with pytest.raises(ValueError, match="has 2 measured steps; a fit needs three"):
        network_growth(run_of(tmp_path / "b", **two), tmp_path)


def test_tables_leave_out_padding_and_keep_scalars(tmp_path):
    dataset = xr.Dataset(
        {"a": ("row", [1.0, np.nan]), "b": ("row", [3.0, np.nan]), "c": 5.0},
        coords={"row": [7, 8]},
    )
    assert {path.name for path in write_tables(dataset, tmp_path)} == {"row.csv", "scalars.csv"}
    assert pd.read_csv(tmp_path / "row.csv").to_dict("list") == {"row": [7], "a": [1.0], "b": [3.0]}
    assert pd.read_csv(tmp_path / "scalars.csv").to_dict("list") == {"c": [5.0]}


def test_a_sample_of_no_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="num_draws is 0"):
        sample_model({}, tmp_path, num_draws=0)
    with pytest.raises(ValueError, match="sigma_z has 1 values; a sweep takes 2 to 200"):
        sample_model({}, tmp_path, swept="sigma_z", values=[1.0])
    with pytest.raises(ValueError, match="sigma_z is -1"):
        sample_model({}, tmp_path, swept="sigma_z", values=[-1.0, 2.0])
    assert not (tmp_path / "config.json").exists()


@pytest.fixture
def problem():
    torch.manual_seed(0)
    inputs, labels = torch.randn(24, 5).double(), torch.arange(24) % 3
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3))
    return Problem(model.double(), (inputs, labels))


def test_a_fit_stands_beside_what_is_measured(problem):
    fitted = measure_and_fit(problem, num_probes=2, num_steps=10, seed=0)
    values = fitted["gauss_newton_eigenvalues"].values[:5]
    np.testing.assert_allclose(fitted["gram_eigenvalues"][:5], values, rtol=1e-3)
    assert float(fitted["gram_gradient_power"][-1]) == pytest.approx(1, abs=1e-6)
    assert (fitted["model_outliers"] > fitted["model_edge"]).all()


def test_a_refused_fit_says_why():
    smoothed = Problem(
        torch.nn.Linear(5, 3).double(),
        (torch.randn(6, 5).double(), torch.arange(6) % 3),
        torch.nn.CrossEntropyLoss(label_smoothing=0.1),
    )
    measured = measure_and_fit(smoothed, num_probes=2, num_steps=6, seed=0)
    assert "label smoothing" in measured.attrs["model_fit_refused"]
    assert "loss" in measured


@pytest.mark.slow
def test_growth_of_a_trained_network_is_that_of_its_logits(tmp_path):
    growth = network_growth(None, tmp_path / "network")
    first, last = growth.isel(training_step=[0, -1])["sigma_z"].values
    assert last > 10 * first
    assert 0 < growth_exponent(growth)[0] < 2
    again = network_growth(tmp_path / "network", tmp_path)
    xr.testing.assert_equal(again, growth)
