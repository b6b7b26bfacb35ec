import json
import textwrap
from functools import partial

import pytest
import torch
from typer.testing import CliRunner

import landscope as ls
from landscope.cli import app
from landscope.experiments import PointConfig, read_config, resolve_target
from landscope.runs import Run


def run(*arguments):
    return CliRunner().invoke(
        app, [str(argument) for argument in arguments], env={"COLUMNS": "250"}
    )


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine_for_config.py").write_text(
        textwrap.dedent(
            """
            import torch
            from landscope.problem import Problem

            def make(seed):
                generator = torch.Generator().manual_seed(seed)
                inputs = torch.randn(12, 2, generator=generator)
                return Problem(torch.nn.Linear(2, 3), (inputs, torch.arange(12) % 3))
            """
        )
    )


@pytest.fixture(autouse=True)
def drawn_quickly(monkeypatch):
    def write_report(trajectory, path, config):
        path.write_text(f"steps {trajectory.step.values.tolist()}")
        return path

    monkeypatch.setattr("landscope.figures.write_report", write_report)


@pytest.fixture
def measured_quickly(monkeypatch):
    """Loss, weights and probabilities alone."""
    measure = partial(ls.measure, parts=["probabilities"])
    for place in ("landscope.geometry.measure", "landscope.experiments.point.measure"):
        monkeypatch.setattr(place, measure)


@pytest.fixture
def checkpoints(tmp_path):
    """Checkpoints of the linear network at steps 3 and 12, whose weights are 3 and 12."""
    folder = tmp_path / "kept" / "checkpoints"
    folder.mkdir(parents=True)
    for step in (12, 3):
        save(folder, step)
    return folder


def save(folder, step):
    weights = {"weight": torch.full((3, 2), float(step)), "bias": torch.arange(3.0)}
    torch.save(weights, folder / f"step-{step}.pt")


def test_init_writes_a_file_that_is_right_and_never_overwrites_one(tmp_path):
    result = run("config", "init")
    assert result.exit_code == 0, result.output
    assert read_config(tmp_path / "landscope.yaml", PointConfig) == PointConfig()
    assert run("config", "check").stdout == "landscope.yaml is right\n"
    (tmp_path / "landscope.yaml").write_text("mine")
    again = run("config", "init")
    assert again.exit_code == 1
    assert again.stderr == "Error: PATH landscope.yaml exists; nothing was written\n"
    assert (tmp_path / "landscope.yaml").read_text() == "mine"
    other = run("config", "init", "landscope.toml")
    assert "accepted are names that end in .yaml or .yml" in other.stderr


def test_the_example_is_a_target():
    run("config", "init", "point.yaml")
    problem = resolve_target("point.yaml").problem
    assert (problem.num_examples, problem.num_classes) == (300, 10)


@pytest.mark.slow
def test_the_example_is_measured():
    run("config", "init", "point.yaml")
    result = run("measure", "point.yaml", "--out", "measured")
    assert result.exit_code == 0, result.output
    assert Run.open("measured").snapshot(0).attrs["failures"] == ""


def test_check_names_each_error_with_its_line_in_a_line_of_its_own(tmp_path):
    (tmp_path / "point.yaml").write_text("data:\n  split: tset\nmesure: {}\n")
    result = run("config", "check", "point.yaml")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: point.yaml, line 2: data.split is 'tset'; accepted are 'train' and 'test'.\n"
        "point.yaml, line 3: mesure is no key here; accepted are problem, network, data, loss, "
        "weights, checkpoints, measure; did you mean measure?\n"
    )


@pytest.mark.usefixtures("measured_quickly")
def test_measure_follows_a_folder_of_checkpoints_and_adds_what_is_new(checkpoints):
    command = ("measure", "mine_for_config:make", "--checkpoints", checkpoints, "--out", "followed")
    result = run(*command)
    assert result.exit_code == 0, result.output
    rows = [line.strip("│ ").split(" ")[0] for line in result.stdout.splitlines()]
    assert [cell for cell in rows if cell.isdigit()] == ["3", "12"] * 2
    followed = Run.open("followed")
    assert (followed.path / "report.html").read_text() == "steps [3, 12]"
    written = (followed.path / "snapshots" / "00000003.nc").stat().st_mtime_ns
    norms = followed.trajectory()["weight_norm"].values
    assert norms == pytest.approx([(6 * 3**2 + 5) ** 0.5, (6 * 12**2 + 5) ** 0.5])
    save(checkpoints, 20)
    assert run(*command).exit_code == 0
    assert followed.steps() == [3, 12, 20]
    assert (followed.path / "snapshots" / "00000003.nc").stat().st_mtime_ns == written


@pytest.mark.usefixtures("measured_quickly")
def test_a_file_says_problem_checkpoints_and_measure_by_itself(checkpoints, tmp_path):
    said = {
        "problem": "mine_for_config:make",
        "checkpoints": "checkpoints",
        "measure": {"num_eigenvalues": 2},
    }
    (tmp_path / "kept" / "point.json").write_text(json.dumps(said))
    result = run("measure", "kept/point.json", "--out", "followed")
    assert result.exit_code == 0, result.output
    followed = Run.open("followed")
    assert followed.steps() == [3, 12]
    assert followed.config["measure"]["num_eigenvalues"] == 2
    assert followed.config["checkpoints"] == "kept/checkpoints"


def test_a_file_puts_the_problem_of_a_function_at_weights(checkpoints, tmp_path):
    (tmp_path / "kept" / "point.yaml").write_text(
        "problem: mine_for_config:make\nweights: checkpoints/step-12.pt\n"
    )
    problem = resolve_target("kept/point.yaml", seed=4).problem
    assert (problem.parameters_vector() == 12).sum() == 6
    inputs = torch.randn(12, 2, generator=torch.Generator().manual_seed(4))
    expected = 12 * inputs.sum(dim=1, keepdim=True) + torch.arange(3.0)
    torch.testing.assert_close(problem.logits(), expected)


@pytest.mark.usefixtures("measured_quickly")
def test_weights_that_are_no_plain_weights_need_trust(tmp_path):
    torch.save(torch.nn.Linear(2, 3), tmp_path / "whole.pt")
    (tmp_path / "point.yaml").write_text("problem: mine_for_config:make\nweights: whole.pt\n")
    refused = run("measure", "point.yaml", "--out", "measured")
    assert refused.exit_code == 1
    assert "whole.pt hold torch.nn.modules.linear.Linear, which is no plain" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    trusted = run("measure", "point.yaml", "--trust", "--out", "measured")
    assert trusted.exit_code == 0, trusted.output


@pytest.mark.parametrize("command", ["init", "check"])
def test_help_gives_an_example(command):
    assert f"Example:  landscope config {command}" in run("config", command, "--help").stdout
