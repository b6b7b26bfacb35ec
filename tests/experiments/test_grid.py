"""Cells of a grid: kept, resumed, side by side, and what happens where one fails."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import xarray as xr

from landscope.experiments.networks.cell import POINTS, Cell
from landscope.experiments.networks.gathered import gathered, said_of
from landscope.experiments.networks.grid import Grid
from landscope.experiments.processes import Processes
from landscope.training import TrainConfig


def norms(problem, seed):
    return xr.Dataset(
        {
            "loss": float(problem.loss()),
            "weight_norm": float(problem.parameters_vector().norm()),
            "gradient": ("parameter", problem.gradient().numpy()),
        }
    )


def interrupted(problem, seed):
    """Fail at the third measurement, once."""
    if len(calls) == 2:
        calls.append("stopped")
        raise KeyboardInterrupt
    calls.append("measured")
    return norms(problem, seed)


def refusing(problem, seed):
    raise RuntimeError("no measurement today")


calls: list[str] = []


SMALL = {
    "data": "digits",
    "width": 0.25,
    "steps": 6,
    "num_measurements": 4,
    "measure_examples": 20,
    "train_examples": 200,
    "test_examples": 20,
}


def small(**choices):
    return TrainConfig(**SMALL | choices)


def test_a_cell_is_named_by_every_choice_but_where_it_is_computed():
    cells = [
        Cell(small(), norms),
        Cell(small(seed=1), norms),
        Cell(small(width=0.5), norms),
        Cell(small(), refusing),
        Cell(small(), norms, radii=(1.0,)),
        Cell(small(), norms, radii=(1.0,), points=POINTS[:1]),
    ]
    assert len({cell.name for cell in cells}) == len(cells)
    assert Cell(small(device="cuda"), norms).name == cells[0].name


def test_a_cell_is_measured_along_training_and_along_the_radius(tmp_path):
    radii = (0.5, 1.0, 2.0)
    (trained,) = Grid(tmp_path, processes=1).trained([Cell(small(), norms, radii)])
    along = trained.trajectory()
    assert along["training_step"].values.tolist() == trained.cell.steps()
    for point, step in zip(POINTS, (0, -1), strict=True):
        scaled = trained.scaled(point)
        np.testing.assert_allclose(
            scaled["weight_norm"], np.array(radii) * float(along["weight_norm"][step]), rtol=1e-5
        )
        # The point itself.
        assert float(scaled["loss"].sel(radius=1)) == pytest.approx(float(along["loss"][step]))


def test_weights_are_scaled_from_the_points_asked_for_alone(tmp_path):
    cell = Cell(small(), norms, (0.5, 2.0), points=POINTS[:1])
    (trained,) = Grid(tmp_path, processes=1).trained([cell])
    assert trained.is_complete
    assert [one.name for one in (trained.run.path / "radius").iterdir()] == [POINTS[0]]


def test_a_complete_cell_is_not_computed_again(tmp_path):
    grid = Grid(tmp_path, processes=1)
    cell = Cell(small(), norms)
    (first,) = grid.trained([cell])
    written = {file: file.stat().st_mtime_ns for file in first.run.path.rglob("*")}
    (second,) = grid.trained([cell])
    assert {file: file.stat().st_mtime_ns for file in first.run.path.rglob("*")} == written
    xr.testing.assert_identical(first.trajectory(), second.trajectory())


def test_an_interrupted_cell_goes_on_and_ends_as_one_left_alone(tmp_path):
    calls.clear()
    stopped, whole = Cell(small(), interrupted), Cell(small(), norms)
    with pytest.raises(KeyboardInterrupt):
        Grid(tmp_path, processes=1).trained([stopped])
    (resumed,) = Grid(tmp_path, processes=1).trained([stopped])
    assert calls == ["measured", "measured", "stopped", "measured", "measured"]
    (alone,) = Grid(tmp_path, processes=1).trained([whole])
    xr.testing.assert_identical(resumed.trajectory(), alone.trajectory())


# Each process takes seconds to start: of two, one is asked for and shared with other tests.
@pytest.mark.parametrize("started", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_processes_side_by_side_give_what_one_gives(tmp_path, monkeypatch, process, started):
    begun = []

    def begin(count):
        begun.append(count)
        return process if started == 1 else Processes(count)

    monkeypatch.setattr("landscope.experiments.networks.grid.Processes", begin)
    cells = [Cell(small(seed=seed), norms) for seed in range(2)]
    told = []
    side_by_side = Grid(tmp_path / "two", processes=2).trained(cells, lambda *say: told.append(say))
    assert begun == [2]
    alone = Grid(tmp_path / "one", processes=1).trained(cells)
    for ours, theirs in zip(side_by_side, alone, strict=True):
        assert ours.cell.training.seed == theirs.cell.training.seed
        # Processes may round differently.
        xr.testing.assert_allclose(ours.trajectory(), theirs.trajectory(), rtol=1e-4, atol=1e-6)
    assert [done for done, _, _ in told] == [0, 1, 2]


def test_training_that_diverges_keeps_what_it_measured(tmp_path):
    wild = Cell(small(learning_rate=1e9, steps=8), norms)
    (trained,) = Grid(tmp_path, processes=1).trained([wild])
    assert "training has diverged" in trained.diverged
    along = trained.trajectory()
    assert along["training_step"].values.tolist() == wild.steps()
    assert np.isfinite(along["loss"][0])
    assert np.isnan(along["loss"][-1])


def test_a_cell_that_fails_is_named_once_all_others_are_done(tmp_path):
    cells = [Cell(small(), refusing), Cell(small(), norms)]
    with pytest.raises(RuntimeError, match="no measurement today") as failure:
        Grid(tmp_path, processes=1).trained(cells)
    assert cells[0].name in failure.value.__notes__[-1]
    assert len(list((tmp_path / cells[1].name / "snapshots").glob("*.nc"))) == 4


def test_no_process_is_refused(tmp_path):
    with pytest.raises(ValueError, match="processes is 0; it must be an integer from 1"):
        Grid(tmp_path, processes=0)


def test_choices_that_are_missing_are_nan_and_order_is_kept():
    cells = {("z", 2): xr.Dataset({"q": 1.0}), ("a", 1): xr.Dataset({"q": 2.0, "r": 3.0})}
    table = gathered(cells, ["data", "seed"], ["q", "r"])
    assert table["data"].values.tolist() == ["z", "a"]
    assert float(table["q"].sel(data="a", seed=1)) == 2
    assert np.isnan(table["q"].sel(data="a", seed=2))
    assert np.isnan(table["r"].sel(data="z", seed=2))
    assert list(said_of(table["q"].fillna(9) > 1)) == ["z, 2"]


WORKERS = """
    import sys, time
    from pathlib import Path
    from landscope.experiments.processes import Processes

    if __name__ == "__main__":
        with Processes(2) as processes:
            pids = {processes.submit(__import__("os").getpid).result() for _ in range(8)}
            processes.submit(time.sleep, 600)
            processes.submit(time.sleep, 600)
            print(*pids, flush=True)
            time.sleep(600)
"""


@pytest.mark.slow
def test_no_worker_outlives_a_killed_parent(tmp_path):
    script = tmp_path / "workers.py"
    script.write_text(textwrap.dedent(WORKERS))
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert pids
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 120
    while alive := [pid for pid in pids if _is_running(pid)]:
        assert time.monotonic() < deadline, f"still running: {alive}"
        time.sleep(0.1)


def _is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().split()[2] != "Z"
