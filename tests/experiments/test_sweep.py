"""Sweeps: the table against the cells, what fails, what is shared, and workers that are killed."""

import json
import os
import signal
import threading
import time
from functools import partial

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from tests.experiments.sweep_measurements import Held, failing_at_seed_1, norms

from landscope.experiments import Grid, SweepConfig, choose_engine, sweep
from landscope.experiments.networks.cell import ATTEMPTS
from landscope.runs import Run

TINY = {
    "width": 0.25,
    "steps": 6,
    "num_measurements": 3,
    "measure_examples": 12,
    "train_examples": 100,
    "test_examples": 20,
    "parts": ["probabilities"],
}
EIGHT = SweepConfig(
    **TINY, network=["fully_connected", "small_cnn"], learning_rate=[0.01, 0.05], seed=[0, 1]
)


def here(folder, **choices):
    return Grid(folder / "cells", processes=1, **choices)


def attempts(folder):
    """How often each cell was begun."""
    return {
        file.parent.name: len(file.read_text().splitlines())
        for file in folder.glob(f"cells/*/{ATTEMPTS}")
    }


def written(folder):
    return {file: file.stat().st_mtime_ns for file in folder.glob("cells/*/snapshots/*.nc")}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Eight cells, one after the other in this process."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "marker").touch()
    return sweep(EIGHT, folder, here(folder), measure=Held(folder / "marker"))


def test_the_table_has_every_number_of_every_cell_and_stage(alone):
    table = alone.table
    assert dict(table["loss"].sizes) == {"network": 2, "learning_rate": 2, "seed": 2, "stage": 3}
    seen = 0
    for folder in (alone.run.path / "cells").iterdir():
        run = Run.open(folder)
        place = {name: run.config[name] for name in ("network", "learning_rate", "seed")}
        of_cell = table.sel(place)
        assert of_cell["training_step"].values.tolist() == run.steps() == [0, 2, 6]
        snapshots = [run.snapshot(step) for step in run.steps()]
        for name in ("loss", "weight_norm", "test_accuracy"):
            measured = [float(snapshot[name]) for snapshot in snapshots]
            assert of_cell[name].values.tolist() == measured
        assert of_cell["current_learning_rate"].values == pytest.approx(place["learning_rate"])
        seen += 1
    assert seen == 8
    assert "gradient" not in table
    xr.testing.assert_identical(alone.run.table(), table)


def test_the_csv_file_is_the_same_table_in_rows(alone):
    rows = pd.read_csv(alone.run.path / "table.csv")
    assert rows.columns[:4].tolist() == ["network", "learning_rate", "seed", "stage"]
    assert len(rows) == 24
    assert rows["outcome"].unique().tolist() == ["complete"]
    place = {"network": "small_cnn", "learning_rate": 0.05, "seed": 1, "stage": 1}
    row, cell = rows.set_index(list(place)).loc[tuple(place.values())], alone.table.sel(place)
    assert row["loss"] == float(cell["loss"])
    assert row["training_step"] == 2


def test_the_summary_has_means_over_seeds_at_the_end(alone):
    ends = alone.run.summary()["ends"]
    assert [end["choices"]["learning_rate"] for end in ends] == [0.01, 0.05, 0.01, 0.05]
    losses = alone.table["loss"].sel(network="small_cnn", learning_rate=0.01, stage=2).values
    mean, error = ends[2]["numbers"]["loss"]
    assert ends[2]["choices"]["network"] == "small_cnn"
    assert mean == pytest.approx(losses.sum() / 2)
    assert error == pytest.approx(np.sqrt(((losses - losses.mean()) ** 2).sum() / 1 / 2))
    assert ends[2]["outcomes"] == {"complete": 2}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["processes", "ray"])
def test_eight_cells_with_a_worker_killed_are_computed_once_and_give_the_same_table(
    engine, tmp_path, alone
):
    if engine == "ray":
        pytest.importorskip("ray", reason="ray is not installed")
    marker, before = tmp_path / "marker", {}
    killer = threading.Thread(target=kill_once_held, args=(marker, tmp_path, before))
    killer.start()
    grid = Grid(tmp_path / "cells", engine=choose_engine(engine, processes=2))
    swept = sweep(EIGHT, tmp_path, grid, measure=Held(marker))
    killer.join()
    assert swept.failed == {}
    # The cell that was killed in its middle was begun twice, and all others once.
    assert sorted(attempts(tmp_path).values()) == [1] * 7 + [2]
    # What had been measured when the worker was killed, its own cell's first stage too, stayed.
    killed = {file.parent.parent.name for file in before}
    assert {name for name, count in attempts(tmp_path).items() if count == 2} <= killed
    assert before == {file: written(tmp_path)[file] for file in before}
    xr.testing.assert_allclose(swept.table, alone.table, rtol=1e-5)  # processes may round apart
    ours, theirs = (pd.read_csv(one.run.path / "table.csv") for one in (swept, alone))
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-5)


def kill_once_held(marker, folder, before):
    deadline = time.monotonic() + 600  # workers start late on a busy machine
    while not marker.exists():
        assert time.monotonic() < deadline, "no worker waits to be killed"
        time.sleep(0.02)
    before |= written(folder)
    os.kill(int(marker.read_text()), signal.SIGKILL)


def test_a_sweep_begun_again_computes_nothing(alone):
    before, begun = written(alone.run.path), attempts(alone.run.path)
    again = sweep(
        EIGHT, alone.run.path, here(alone.run.path), measure=Held(alone.run.path / "marker")
    )
    assert (written(alone.run.path), attempts(alone.run.path)) == (before, begun)
    xr.testing.assert_identical(again.table, alone.table)


def test_a_wider_sweep_shares_the_cells_of_a_narrow_one(tmp_path):
    grid = here(tmp_path)
    narrow = sweep(SweepConfig(**TINY), tmp_path / "narrow", grid, measure=norms).table
    wide = SweepConfig(**TINY, seed=[0, 1])
    with pytest.raises(ValueError, match=r"another configuration: seed is 0 there and \[0, 1\]"):
        sweep(wide, tmp_path / "narrow", grid, measure=norms)
    table = sweep(wide, tmp_path / "wide", grid, measure=norms).table
    assert sorted(attempts(tmp_path).values()) == [1, 1]
    assert table["loss"].sel(seed=0).values.tolist() == narrow["loss"].sel(seed=0).values.tolist()


def test_a_cell_that_fails_for_good_is_named_with_its_cause_and_the_others_are_kept(
    tmp_path, process
):
    config = SweepConfig(**TINY, seed=[0, 1])
    grid = Grid(tmp_path / "cells", engine=lambda: process)
    swept = sweep(config, tmp_path, grid, measure=failing_at_seed_1)
    ((name, cause),) = swept.failed.items()
    assert "-seed1-" in name
    assert cause == "RuntimeError: no measurement of seed 1"
    assert attempts(tmp_path)[name] == 3  # the first and two retries
    assert swept.table["outcome"].values.tolist() == ["complete", "failed"]
    assert np.isfinite(swept.table["loss"].sel(seed=0)).all()
    assert np.isnan(swept.table["loss"].sel(seed=1)).all()
    assert pd.read_csv(tmp_path / "table.csv")["seed"].unique().tolist() == [0]
    assert swept.run.summary()["failed"] == swept.failed


def test_a_network_that_diverged_keeps_what_it_measured_and_is_not_trained_again(tmp_path):
    config = SweepConfig(**TINY, learning_rate=[0.01, 1e9])
    begin = partial(sweep, config, tmp_path, here(tmp_path), measure=norms)
    swept = begin()
    assert swept.table["outcome"].squeeze("seed").values.tolist() == ["complete", "diverged"]
    wild = swept.table["loss"].sel(learning_rate=1e9).squeeze("seed")
    assert np.isfinite(wild[0])
    assert np.isnan(wild[-1])
    assert swept.failed == {}
    ends = swept.run.summary()["ends"]
    assert ends[1]["numbers"]["loss"][0] is None
    assert begin().table.identical(swept.table)
    assert set(attempts(tmp_path).values()) == {1}


def test_parts_of_measure_are_measured_with_the_options_of_the_file(tmp_path):
    few = {"network": "fully_connected", "parts": ["hessian"], "num_measurements": 2}
    quick = {"num_eigenvalues": 2, "num_probes": 2, "num_steps": 8, "tol": 1e-2}
    config = SweepConfig(**TINY | few, measure=quick)
    table = sweep(config, tmp_path, here(tmp_path)).table
    (folder,) = (tmp_path / "cells").iterdir()
    last = Run.open(folder).snapshot(6)
    assert last["hessian_eigenvalues"].shape == (2,)
    largest = table["lambda_max"].isel(stage=-1, seed=0)
    assert float(largest) == float(last["hessian_eigenvalues"][0])
    assert largest.attrs["units"] == "loss/weight²"


def test_cells_measured_at_fewer_stages_end_at_their_own_last(tmp_path):
    config = SweepConfig(**TINY | {"num_measurements": [2, 3]})
    swept = sweep(config, tmp_path, here(tmp_path), measure=norms)
    losses = swept.table["loss"].squeeze("seed")
    assert np.isfinite(losses).sum("stage").values.tolist() == [2, 3]
    ends = [end["numbers"]["loss"][0] for end in swept.run.summary()["ends"]]
    assert ends == [float(losses[0, 1]), float(losses[1, 2])]


def test_attempts_say_when_and_where(alone):
    (first, *_) = sorted(alone.run.path.glob(f"cells/*/{ATTEMPTS}"))
    said = json.loads(first.read_text())
    assert said["pid"] == os.getpid()
    assert said.keys() == {"begun", "host", "pid"}
