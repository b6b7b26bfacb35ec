import os
import signal
import subprocess
import sys
import time

import pytest
import xarray as xr
from typer.testing import CliRunner

from landscope.cli import app
from landscope.cli.interruption import Terminated, terminable
from landscope.runs import Run

TRAIN = ["--steps", "6", "--num-measurements", "3", "--measure-examples", "12", "--width", "0.25"]
TRAIN += ["--classes", "0,1"]


def command(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def measured(problem, **options):
    return xr.Dataset({"loss": float(problem.loss())})


@pytest.fixture
def heeds_ctrl_c():
    """As in a terminal: the processes of pytest-xdist ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_stopped_says_what_goes_on_and_keeps_what_it_has(
    tmp_path, monkeypatch, number, code
):
    folder = tmp_path / "my run"
    before = signal.getsignal(signal.SIGTERM)

    def stop_at_second(problem, **options):
        if Run.open(folder).steps():
            signal.raise_signal(number)
        return measured(problem)

    with monkeypatch.context() as patch:
        patch.setattr("landscope.geometry.measure", stop_at_second)
        stopped = command("train", "--out", folder, *TRAIN)
    assert stopped.exit_code == code, stopped.output
    said = " ".join(stopped.output.split())
    assert "Interrupted at 2 of 6 steps; what was measured is kept" in said, said
    assert f"the same command goes on: landscope train --out '{folder}' --steps 6" in said
    assert Run.open(folder).steps() == [0]
    assert {file.name for file in folder.glob("*.*")} <= {"config.json", "summary.json"} | {
        "reference.safetensors"
    }
    assert not list(folder.rglob("*.partial"))
    assert signal.getsignal(signal.SIGTERM) is before

    monkeypatch.setattr("landscope.geometry.measure", measured)
    monkeypatch.setattr("landscope.cli.train.write_report_of", lambda run: None)
    again = command("train", "--out", folder, *TRAIN)
    assert again.exit_code == 0, again.output
    assert Run.open(folder).steps() == [0, 2, 6]


def test_a_module_that_calls_sys_exit_ends_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leaves_at_once.py").write_text("raise SystemExit\n")
    (tmp_path / "leaves_when_called.py").write_text("def make():\n    raise SystemExit(3)\n")
    for module, said in (
        ("leaves_at_once", "used sys.exit(None) when it was imported"),
        ("leaves_when_called", "used sys.exit(3) when it was called"),
    ):
        result = command("measure", f"{module}:make", "--out", tmp_path / "run")
        assert result.exit_code == 1
        assert f"TARGET '{module}:make' {said}" in " ".join(result.output.split())


@pytest.mark.parametrize("name", ["train", "goldilocks", "model", "sweep"])
def test_an_empty_folder_name_is_refused(name, tmp_path):
    target = {"goldilocks": ["point.yaml"], "sweep": ["sweep.yaml"]}.get(name, [])
    result = command(name, *target, "--out", "")
    assert result.exit_code == 2
    assert "the name is empty" in result.output


def test_a_file_in_place_of_the_run_folder_is_found_at_once(tmp_path):
    (tmp_path / "file").touch()
    result = command("model", "--out", tmp_path / "file" / "run")
    assert result.exit_code == 1
    assert "cannot be written" in result.output


SWEEP = """
width: 0.25
steps: 100000
num_measurements: 2
measure_examples: 10
train_examples: 64
test_examples: 10
parts: [probabilities]
seed: [0, 1]
"""


@pytest.mark.slow
@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_sweep_ends_its_processes_and_leaves_no_lock(tmp_path, number):
    if os.name != "posix":
        pytest.skip("other systems send a process no such signal")
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    arguments = ["sweep", tmp_path / "sweep.yaml", "--out", tmp_path / "run", "--processes", "2"]
    sweeping = subprocess.Popen(
        [sys.executable, "-m", "landscope", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
    )
    cells = tmp_path / "run" / "cells"
    until = time.monotonic() + 120
    while len(list(cells.glob("*/snapshots/*.nc"))) < 2 and time.monotonic() < until:
        time.sleep(0.5)
    sweeping.send_signal(number)
    _, said = sweeping.communicate(timeout=30)
    assert sweeping.returncode == 128 + number, said
    assert "the same command goes on: landscope sweep" in " ".join(said.split())
    assert "Traceback" not in said
    for cell in cells.iterdir():  # no process of it lives: the lock can be had
        Run.create(cell, Run.open(cell).config).close()


@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_a_signal_while_an_object_is_destroyed_is_not_lost(number, kind):
    class Leaving:
        def __del__(self):
            signal.raise_signal(number)

    def wait():
        Leaving()
        for _ in range(600):
            time.sleep(0.1)

    with pytest.raises(kind), terminable():
        wait()
