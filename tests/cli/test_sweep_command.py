"""`landscope sweep`, from a file to a table and a report."""

import shutil
import subprocess
import sys
import time
from concurrent.futures import Executor, Future
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from landscope.cli import app
from landscope.experiments import SweepConfig, read_config
from landscope.experiments.networks.cell import ATTEMPTS

FILE = """\
width: 0.25
train_examples: 100
test_examples: 20
steps: 3
learning_rate: [0.01, 0.05]
seed: [0, 1]
num_measurements: 2
measure_examples: 12
parts: [probabilities, clustering]
"""


def run(*arguments):
    return CliRunner().invoke(
        app, [str(argument) for argument in arguments], env={"COLUMNS": "250"}
    )


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("sweep.yaml").write_text(FILE)


def leave_out_files_for_print(monkeypatch):
    monkeypatch.setattr("landscope.figures.sweep_report.write_pictures", lambda *_: [])


class ThisProcess(Executor):
    """Compute in this process, which has imported everything already."""

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture
def in_this_process(monkeypatch):
    monkeypatch.setattr("landscope.cli.sweep.choose_engine", lambda *_, **__: ThisProcess)


@pytest.mark.usefixtures("in_this_process")
def test_a_sweep_leaves_a_table_and_a_report(monkeypatch):
    Path("sweep.yaml").write_text(FILE.replace(", clustering", ""))
    result = run("sweep", "sweep.yaml", "--processes", 1, "--out", "swept")
    assert result.exit_code == 0, result.output
    rows = pd.read_csv("swept/table.csv")
    assert len(rows) == 2 * 2 * 2
    page = Path("swept/report.html").read_text(encoding="utf-8")
    assert "<h1>Sweep over learning rate</h1>" in page
    assert "<td>2 complete</td>" in page
    assert {file.name for file in Path("swept/figures").iterdir()} == {
        "across_choices.png",
        "across_choices.svg",
    }
    shown = run("show", "swept").stdout
    assert "test acc." in shown
    assert shown in result.stdout
    Path("swept/report.html").unlink()
    leave_out_files_for_print(monkeypatch)
    assert run("report", "swept").exit_code == 0
    assert Path("swept/report.html").read_text(encoding="utf-8") == page


@pytest.mark.usefixtures("in_this_process")
def test_cells_that_fail_end_the_command_with_a_sentence_and_an_exit_code(monkeypatch):
    leave_out_files_for_print(monkeypatch)
    # A data set that is not there and that nobody downloads.
    text = FILE.replace("[0.01, 0.05]", "0.01").replace("[0, 1]", "0").replace(", clustering", "")
    text += "data: [digits, cifar10_subset]\n"
    Path("sweep.yaml").write_text(text)
    monkeypatch.setenv("XDG_CACHE_HOME", "nothing_here")
    command = ("sweep", "sweep.yaml", "--processes", 1, "--retries", 0)
    result = run(*command, "--data-root", "nothing_here", "--out", "swept")
    assert result.exit_code == 1
    (sentence,) = result.stderr.strip().splitlines()[-1:]
    assert sentence.startswith("Error: 1 of 2 cells failed: cifar10_subset-small_cnn-relu-")
    assert "the same command tries again those that failed" in sentence
    assert set(pd.read_csv("swept/table.csv")["data"]) == {"digits"}
    assert "<strong>Failed.</strong>" in Path("swept/report.html").read_text(encoding="utf-8")


def test_a_file_that_is_wrong_is_refused_before_anything_is_made():
    Path("sweep.yaml").write_text("network: [small_cnn, vgg]\n")
    result = run("sweep", "sweep.yaml", "--out", "swept")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: sweep.yaml, line 1: network.1: 'vgg' is not known; accepted are fully_connected, "
        "resnet20, small_cnn\n"
    )
    assert not Path("swept").exists()


def test_an_engine_that_is_wrong_is_refused_before_anything_is_made():
    result = run("sweep", "sweep.yaml", "--engine", "slurm", "--out", "swept")
    assert result.stderr == "Error: engine is 'slurm'; accepted are processes, ray\n"
    assert not Path("swept").exists()


def test_config_init_and_check_know_sweeps():
    wrote = run("config", "init", "new.yaml", "--for", "sweep")
    assert wrote.stdout == "Wrote new.yaml; landscope sweep new.yaml runs it\n"
    assert len(read_config("new.yaml", SweepConfig).trainings()) == 12
    assert run("config", "check", "new.yaml", "--for", "sweep").stdout == "new.yaml is right\n"
    other = run("config", "init", "other.yaml", "--for", "train")
    assert other.stderr == "Error: --for is 'train'; accepted are measure, sweep\n"


COMMAND = [str(Path(sys.executable).with_name("landscope")), "sweep", "sweep.yaml"]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["processes", "ray"])
def test_a_command_that_was_killed_goes_on_and_measures_nothing_twice(engine):
    if engine == "ray":
        pytest.importorskip("ray", reason="ray is not installed")
    longer = FILE.replace("steps: 3", "steps: 200").replace("measurements: 2", "measurements: 3")
    Path("sweep.yaml").write_text(longer)
    command = [*COMMAND, "--engine", engine, "--processes", "2", "--out", "killed"]
    cells = Path("killed/cells")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(list(cells.glob("*/snapshots/*.nc"))) < 7:
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -9
    time.sleep(3)  # for the workers to see that it is gone
    before = {file: file.stat().st_mtime_ns for file in cells.glob("*/snapshots/*.nc")}
    complete = [folder for folder in cells.iterdir() if len(list(folder.glob("snapshots/*"))) == 3]
    assert 7 <= len(before) < 12
    assert complete
    subprocess.run(command, check=True, capture_output=True)
    assert before == {file: file.stat().st_mtime_ns for file in before}
    assert all(len((cell / ATTEMPTS).read_text().splitlines()) == 1 for cell in complete)
    killed = Path("killed/table.csv").read_bytes()
    shutil.rmtree("killed")
    subprocess.run([*COMMAND, "--processes", "1", "--out", "killed"], check=True)
    assert Path("killed/table.csv").read_bytes() == killed
