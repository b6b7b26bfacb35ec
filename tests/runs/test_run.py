import json

import numpy as np
import pytest
import torch
import xarray as xr

from landscope.runs import Run


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "run", {"seed": 0, "measure": {"num_eigenvalues": 5}})


def test_what_is_written_is_read_back_by_another_opening(run):
    run.write_snapshot(10, xr.Dataset({"loss": 0.5}))
    run.write_snapshot(2, xr.Dataset({"loss": 1.5}))
    run.write_summary({"loss": {"first": 1.5, "last": np.float64(0.5)}})
    again = Run.open(run.path)
    assert again.steps() == [2, 10]
    assert again.config == {"seed": 0, "measure": {"num_eigenvalues": 5}}
    assert again.summary() == {"loss": {"first": 1.5, "last": 0.5}}
    assert again.snapshot(10).step == 10
    trajectory = again.trajectory()
    np.testing.assert_array_equal(trajectory.loss.sel(step=[2, 10]), [1.5, 0.5])
    assert trajectory.step.attrs == {"long_name": "updates made so far", "units": "1"}


def test_the_same_configuration_opens_and_another_is_refused(run):
    Run.create(run.path, {"measure": {"num_eigenvalues": 5}, "seed": 0})
    with pytest.raises(ValueError, match=r"measure\.num_eigenvalues is 5 there and 7 here"):
        Run.create(run.path, {"seed": 0, "measure": {"num_eigenvalues": 7}})
    assert Run.open(run.path).config["measure"] == {"num_eigenvalues": 5}


def test_tuples_and_numpy_numbers_do_not_make_a_configuration_another(tmp_path):
    Run.create(tmp_path, {"classes": (0, 1), "width": np.int64(4)})
    Run.create(tmp_path, {"classes": [0, 1], "width": 4})


def test_a_folder_without_configuration_is_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no run folder: it has no config\.json"):
        Run.open(tmp_path)


def test_steps_that_were_not_measured_are_named(run):
    run.write_snapshot(3, xr.Dataset({"loss": 0.5}))
    with pytest.raises(KeyError, match=r"step 4 was not measured .* it has \[3\]"):
        run.snapshot(4)


def test_an_empty_run_has_no_trajectory(run):
    with pytest.raises(ValueError, match="no snapshot yet"):
        run.trajectory()


def test_partial_files_never_count_and_creating_removes_them(run):
    run.write_snapshot(3, xr.Dataset({"loss": 0.5}))
    leftovers = [
        run.path / ".config.json.0123abcd.partial",
        run.path / "snapshots" / ".00000004.nc.0123abcd.partial",
        run.path / "checkpoints" / ".00000004.safetensors.0123abcd.partial",
    ]
    for leftover in leftovers:
        leftover.write_text("half")
    assert Run.open(run.path).steps() == [3]
    assert run.latest_checkpoint() is None
    assert all(leftover.exists() for leftover in leftovers)
    assert Run.create(run.path, run.config).steps() == [3]
    assert not any(leftover.exists() for leftover in leftovers)


def test_only_the_last_two_checkpoints_are_kept(run):
    assert run.latest_checkpoint() is None
    for step in (1, 5, 9):
        run.write_checkpoint(step, {"w": torch.full((2,), float(step))}, {"note": str(step)})
    assert sorted(file.stem for file in (run.path / "checkpoints").iterdir()) == [
        "00000005",
        "00000009",
    ]
    latest, earlier = run.latest_checkpoint(), run.latest_checkpoint(no_later_than=8)
    assert (latest.step, latest.metadata) == (9, {"note": "9"})
    assert torch.equal(latest.tensors["w"], torch.tensor([9.0, 9.0]))
    assert earlier.step == 5
    assert run.latest_checkpoint(no_later_than=4) is None


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(run):
    for step in (1, 5):
        run.write_checkpoint(step, {"w": torch.ones(2)}, {})
    (run.path / "checkpoints" / "00000005.safetensors").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="step 5 .* is damaged"):
        assert run.latest_checkpoint().step == 1


def test_the_reference_is_kept_beside_the_checkpoints(run):
    assert run.reference() is None
    run.write_reference({"w": torch.arange(3.0)})
    for step in range(4):
        run.write_checkpoint(step, {"w": torch.ones(2)}, {})
    assert torch.equal(Run.open(run.path).reference()["w"], torch.arange(3.0))


def test_a_failing_write_loses_nothing_written_before(run, monkeypatch):
    run.write_snapshot(3, xr.Dataset({"loss": 0.5}))

    def fail(*args, **kwargs):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(xr.Dataset, "to_netcdf", fail)
        with pytest.raises(OSError, match="disk full"):
            run.write_snapshot(4, xr.Dataset({"loss": 0.4}))
    assert run.steps() == [3]
    run.write_snapshot(4, xr.Dataset({"loss": 0.4}))
    assert run.steps() == [3, 4]


def test_the_configuration_is_readable_json(run):
    assert json.loads((run.path / "config.json").read_text())["seed"] == 0
