"""`landscope goldilocks` and `landscope intrinsic-dimension`, from options to files."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import landscope as ls
from landscope.cli import app
from landscope.experiments import resolve_target
from landscope.runs import Run


def run(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "250"})


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    path = tmp_path_factory.mktemp("target") / "point.json"
    network = {"name": "fully_connected", "width": 0.03, "nonlinearity": "tanh"}
    data = {"name": "digits", "classes": [0, 1, 2], "max_examples": 30}
    path.write_text(json.dumps({"network": network, "data": data}))
    return path


def test_the_zone_of_a_target(target, tmp_path, monkeypatch):
    out = tmp_path / "zone"
    options = ["--radii", "0.5,2", "--dim", 4, "--num-hyperplanes", 2, "--seed", 3, "--out", out]
    result = run("goldilocks", target, *options)
    assert result.exit_code == 0, result.output
    problem = resolve_target(str(target), seed=3).problem
    zone = ls.goldilocks(problem, [0.5, 2.0], 4, num_hyperplanes=2, seed=3)
    found = Run.open(out).snapshot(0)["trace_over_norm"].isel(nonlinearity=0)
    np.testing.assert_allclose(
        found.transpose("radius", "seed"), zone["trace_over_norm_each"], rtol=1e-5
    )
    table = pd.read_csv(out / "tables/nonlinearity_radius_seed.csv")
    assert table["radius"].unique().tolist() == [0.5, 2.0]
    assert {file.suffix for file in (out / "figures").iterdir()} == {".png", ".svg"}
    assert "hyperplanes of 4 dimensions" in result.output
    assert "The Goldilocks zone of one problem" in (out / "report.html").read_text()
    # The files for print are there already.
    monkeypatch.setattr("landscope.figures.experiment_report.write_pictures", lambda *_: [])
    written = {file: file.stat().st_mtime_ns for file in (out / "snapshots").iterdir()}
    assert run("goldilocks", target, *options).exit_code == 0
    assert all(file.stat().st_mtime_ns == at for file, at in written.items())
    assert "Tr H/‖H‖" in run("show", out).stdout
    assert run("report", out).exit_code == 0


def test_the_intrinsic_dimension_of_a_target_is_scored_on_test_data(target, tmp_path):
    out = tmp_path / "dimension"
    options = ["--dims", "2,16", "--num-seeds", 2, "--steps", 10, "--out", out]
    result = run("intrinsic-dimension", target, *options)
    assert result.exit_code == 0, result.output
    resolved = resolve_target(str(target))
    found = ls.intrinsic_dimension(
        resolved.problem,
        [2, 16],
        test=resolved.test,
        num_seeds=2,
        descent=ls.AdamDescent(steps=10),
    )
    kept = Run.open(out).snapshot(0)
    scores = kept["accuracy"].isel(data=0, network=0).transpose("dim", "seed")
    np.testing.assert_array_equal(scores, found.scores)
    assert kept.attrs["scored"] == "test data"
    assert "Intrinsic dimension, 90% of full training" in result.output
    assert (out / "report.html").exists()
    assert f"all {resolved.problem.num_params:,}" in run("show", out).stdout


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("goldilocks", ["--radii", "0,1"], "radii[0] is 0.0; it must be a number in (0"),
        ("goldilocks", ["--radii", "many"], "radii is 'many'; it must be a number"),
        (
            "intrinsic-dimension",
            ["--dims", "0,4"],
            "dims[0] is 0; it must be an integer",
        ),
        ("intrinsic-dimension", ["--steps", 0], "steps is 0; it must be an integer"),
    ],
)
def test_bad_options_get_one_sentence(target, tmp_path, command, options, message):
    result = run(command, target, *options, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
