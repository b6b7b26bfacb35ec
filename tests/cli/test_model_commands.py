"""`landscope model` and `landscope reproduce`, from options to files."""

import json

import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

from landscope.cli import app
from landscope.experiments import REPRODUCTIONS, Reproduction
from landscope.experiments.claim import Claim
from landscope.experiments.random_model.draw import describe
from landscope.random_model import RandomModel
from landscope.runs import Run

SMALL = ["--num-classes", "3", "--num-examples", "30", "--num-params", "50"]


def run(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "250"})


def test_model_draws_one_point(tmp_path):
    out = tmp_path / "one"
    result = run("model", *SMALL, "--seed", 4, "--lengths", "1,2,3", "--out", out)
    assert result.exit_code == 0, result.output
    land = RandomModel(3, 30, 50, lengths=(1, 2, 3)).sample(4)
    table = pd.read_csv(out / "tables/rank.csv")
    assert table["eigenvalue"].to_numpy() == pytest.approx(land.eigenvalues(), abs=1e-12)
    first = json.loads((out / "summary.json").read_text())["numbers"][0]
    assert first["drawn"] == pytest.approx(land.eigenvalues()[0])
    assert first["theory"] == pytest.approx(land.theory().outliers[0])
    assert {file.suffix for file in (out / "figures").iterdir()} == {".png", ".svg"}
    assert str(out / "report.html") in result.output
    assert "largest eigenvalue" in run("show", out).stdout


def test_model_sweeps_one_parameter_at_any_size(tmp_path):
    out = tmp_path / "sweep"
    sizes = ["--num-classes", "3", "--num-examples", "20", "--num-params", "1e2:1e12:3:log"]
    result = run("model", *sizes, "--num-draws", 2, "--out", out)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(out / "tables/draw_point.csv")
    land = RandomModel(3, 20, 10**12).sample(1)
    drawn = table[(table["value"] == 1e12) & (table["draw"] == 1)]["top_eigenvalue"]
    assert drawn.item() == pytest.approx(land.eigenvalues()[0])
    assert Run.open(out).config["swept"] == "num_params"
    assert (out / "report.html").exists()


@pytest.fixture
def quick(monkeypatch):
    """A figure that takes no time, in place of the fifth."""

    def compute(seed, progress):
        one = describe(RandomModel(3, 30, 50), seed)
        return xr.concat([one] * 3, dim=xr.Variable("variant", ["a", "b", "class-c"]))

    def claims(dataset):
        return [Claim("a claim", "holds in part", "0.5")]

    monkeypatch.setitem(REPRODUCTIONS, "fig5", Reproduction(compute, claims))


@pytest.mark.usefixtures("quick")
def test_reproduce_writes_claims_tables_and_report_and_report_draws_it_again(tmp_path, monkeypatch):
    out = tmp_path / "fig5"
    result = run("reproduce", "fig5", "--out", out)
    assert result.exit_code == 0, result.output
    assert "holds in part" in result.stdout
    (claim,) = json.loads((out / "summary.json").read_text())["claims"]
    assert claim["measured"] == "0.5"
    assert len(pd.read_csv(out / "tables/rank_variant.csv")) == 3 * 50
    page = (out / "report.html").read_text()
    assert "a claim" in run("show", out).stdout
    (out / "report.html").unlink()
    # The files for print are there already.
    monkeypatch.setattr("landscope.figures.experiment_report.write_pictures", lambda *_: [])
    assert run("report", out).exit_code == 0
    assert len((out / "report.html").read_text()) == len(page)


@pytest.mark.usefixtures("quick")
def test_all_figures_come_with_a_page_of_all_claims(tmp_path, monkeypatch):
    only = {"fig5": REPRODUCTIONS["fig5"]}
    monkeypatch.setattr("landscope.cli.reproduce.REPRODUCTIONS", only)
    out = tmp_path / "all"
    result = run("reproduce", "all", "--out", out)
    assert result.exit_code == 0, result.output
    page = (out / "report.html").read_text()
    assert "a claim" in page
    assert 'href="fig5/report.html"' in page
    assert 'src="fig5/figures/eigenspectrum.png"' in page
    assert "<dt>holds in part</dt><dd>1</dd>" in page
    assert (out / "fig5/report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model", "--sigma-z", "1:2"], "sigma_z is '1:2'; it must be a number, a list"),
        (["model", "--sigma-z", "1,2", "--sigma-c", "1,2"], "sigma_c and sigma_z have several"),
        (["model", "--sigma-z", "-1"], "sigma_z is -1.0; it must be a number in [0, ∞)"),
        (["model", "--num-params", "1.5"], "num_params is 1.5; it must be a whole number"),
        (["model", "--lengths", "1,2"], "lengths has 2 entries"),
        (["model", "--labels", "both"], "labels is 'both'; it must be one of uniform, sampled"),
        (["model", "--num-draws", "0"], "num_draws is 0"),
        (["reproduce", "fig9"], "FIGURE is 'fig9'; accepted are fig1"),
        (["reproduce", "fig5", "--run", "nowhere"], "fig5 shows the random model alone"),
        (["reproduce", "fig7", "--run", "nowhere"], "nowhere is no run folder"),
        (["reproduce", "fig1", "--run", "nowhere"], "fig1 shows networks of its own"),
        (["reproduce", "fig5", "--data", "mnist"], "data is 'mnist'; fig5 has its own"),
        (["reproduce", "fig1", "--data", "imagenet"], "data names imagenet; accepted are digits"),
        (["reproduce", "fig1", "--scale", "huge"], "scale is 'huge'; it must be one of smoke"),
        (
            ["reproduce", "fig1", "--processes", "0"],
            "processes is 0; it must be an integer from 1",
        ),
        (["reproduce", "all", "--data", "mnist"], "--data and --run are for single figures"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len([line for line in result.stderr.splitlines() if "Error" in line]) == 1
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", ["model", "reproduce"])
def test_help_gives_an_example(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example:  landscope {command}" in result.stdout
