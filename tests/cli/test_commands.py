import json
import shutil

import pytest
from typer.testing import CliRunner

from landscope.cli import app
from landscope.figures import clustering
from landscope.runs import Run
from landscope.training import HyperplaneConfig, MeasureConfig, TrainConfig

NETWORK = {"name": "fully_connected", "width": 0.05}
TINY = ["--steps", "3", "--num-measurements", "2", "--measure-examples", "12"]
TINY += ["--network", NETWORK["name"], "--width", NETWORK["width"], "--classes", "0,1,2"]
QUICK = ["--num-eigenvalues", "4", "--num-probes", "2", "--lanczos-steps", "8", "--tol", "0.001"]


def run(*arguments):
    return CliRunner().invoke(
        app, [str(argument) for argument in arguments], env={"COLUMNS": "250"}
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tiny training run whose report has one picture, and what the command printed."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        for chapter in ("PROPERTIES", "EXPLANATIONS", "MONITORS", "OBSERVATIONS"):
            pictures = (clustering,) if chapter == "OBSERVATIONS" else ()
            for module in ("gallery", "report"):
                patch.setattr(f"landscope.figures.{module}.{chapter}", pictures)
        result = run("train", "--out", folder, *TINY, *QUICK)
    assert result.exit_code == 0, result.output
    return folder, result


@pytest.fixture
def drawn_quickly(monkeypatch):
    """A report that says only what it was drawn from."""

    def write_report(trajectory, path, config):
        path.write_text(f"steps {trajectory.step.values.tolist()}, seed {config['seed']}")
        return path

    monkeypatch.setattr("landscope.figures.write_report", write_report)


def test_train_writes_a_run_folder(trained):
    folder, result = trained
    opened = Run.open(folder)
    assert opened.steps() == [0, 3]
    assert opened.config["classes"] == [0, 1, 2]
    assert opened.config["measure"]["num_eigenvalues"] == 4
    assert opened.snapshot(3)["hessian_eigenvalues"].sizes["rank"] == 4
    assert json.loads((folder / "summary.json").read_text())["steps"] == [0, 3]
    assert (folder / "report.html").stat().st_size > 1000
    assert {file.suffix for file in (folder / "figures").iterdir()} >= {".png", ".svg"}
    assert str(folder / "report.html") in result.output


@pytest.mark.usefixtures("drawn_quickly")
def test_the_same_command_again_measures_nothing_anew(trained, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "copy")
    written = {file: file.stat().st_mtime_ns for file in (folder / "snapshots").iterdir()}
    again = run("train", "--out", folder, *TINY, *QUICK)
    assert again.exit_code == 0
    assert {file: file.stat().st_mtime_ns for file in (folder / "snapshots").iterdir()} == written
    rows = [line for line in trained[1].stdout.splitlines() if line.startswith("│")]
    assert [line for line in again.stdout.splitlines() if line.startswith("│")] == rows


def test_another_configuration_is_refused_in_the_same_folder(trained):
    result = run("train", "--out", trained[0], *TINY, *QUICK, "--momentum", "0.5")
    assert result.exit_code == 1
    assert result.stderr.count("Error: ") == 1
    assert "momentum is 0.9 there and 0.5 here" in result.stderr
    assert "Traceback" not in result.output


def test_show_prints_each_measured_step(trained):
    result = run("show", trained[0])
    assert result.exit_code == 0
    assert "λmax(H)" in result.stdout
    first_cells = [line.strip("│ ").split(" ")[0] for line in result.stdout.splitlines()]
    assert [cell for cell in first_cells if cell.isdigit()] == ["0", "3"] * 3  # in three tables


@pytest.mark.usefixtures("drawn_quickly")
def test_report_is_written_again(trained, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "copy")
    result = run("report", folder)
    assert result.exit_code == 0
    assert (folder / "report.html").read_text() == "steps [0, 3], seed 0"


@pytest.mark.usefixtures("drawn_quickly")
def test_measure_measures_a_checkpoint_of_a_run(trained, tmp_path):
    point = tmp_path / "point.json"
    config = {
        "network": NETWORK,
        "data": {"classes": [0, 1, 2], "max_examples": 12},
        "weights": str(trained[0] / "checkpoints" / "00000003.safetensors"),
    }
    point.write_text(json.dumps(config))
    out = tmp_path / "measured"
    result = run(
        *("measure", point, "--out", out, *QUICK),
        *("--products", "cached_graph", "--memory-limit", "1GiB"),
    )
    assert result.exit_code == 0, result.output
    here, there = Run.open(out).snapshot(0), Run.open(trained[0]).snapshot(3)
    assert float(here["loss"]) == pytest.approx(float(there["loss"]), rel=1e-5)
    eigenvalues = there["hessian_eigenvalues"].values
    assert here["hessian_eigenvalues"].values == pytest.approx(eigenvalues, rel=1e-3)
    assert here.attrs["hessian_products"] == "cached_graph"
    assert here.attrs["memory_limit"] == 2**30
    assert (out / "report.html").read_text() == "steps [0], seed 0"
    assert (out / "summary.json").exists()
    assert here["loss"].attrs["long_name"] in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "nowhere"], "nowhere is no run folder"),
        (["report", "nowhere"], "nowhere is no run folder"),
        (["train", "--steps", "-3"], "steps=-3"),
        (["train", "--memory-limit", "lots"], "memory_limit='lots'"),
        (["train", "--data", "imagenet"], "'imagenet' is not known; accepted are"),
        (["measure", "nothing"], "'nothing' is neither"),
    ],
)
def test_an_error_is_one_sentence(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Traceback" not in result.output


def test_debug_shows_where(tmp_path):
    result = run("--debug", "show", tmp_path)
    assert isinstance(result.exception, FileNotFoundError)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--bogus"], "--bogus"),
        (["train", "--classes", "a,b"], "integers separated by commas"),
        (["train", "--steps", "many"], "--steps"),
        (["train", "--optimizer", "magic"], "--optimizer"),
        (["train", "--products", "magic"], "--products"),
        (["measure"], "TARGET"),
    ],
)
def test_usage_errors_exit_with_2(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    "command",
    ["demo", "goldilocks", "intrinsic-dimension", "measure", "train", "report", "show"],
)
def test_help_gives_an_example(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example:  landscope {command}" in result.stdout


def test_train_has_an_option_for_each_field_with_its_description():
    text = " ".join(run("train", "--help").stdout.replace("│", " ").split())
    nested = {**MeasureConfig.model_fields, **HyperplaneConfig.model_fields}
    fields = {**TrainConfig.model_fields, **nested}
    renamed = {"num_steps", "method", "dim", "kind"}
    for name in ("--lanczos-steps ", "--products ", "--hyperplane-dim ", "--hyperplane-kind "):
        assert name in text
    for name in fields.keys() - {"measure", "hyperplane"} - renamed:
        assert f"--{name.replace('_', '-')} " in text
    for name in fields.keys() - {"measure", "hyperplane", "seed", "device", "data_root"}:
        assert " ".join(fields[name].description.split()[:4]) in text
