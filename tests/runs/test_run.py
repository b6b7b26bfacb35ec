import json
import os
import shutil
from pathlib import Path

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
    with pytest.warns(UserWarning, match=r"00000005\.safetensors is damaged"):
        assert run.latest_checkpoint().step == 1


def test_the_reference_is_kept_beside_the_checkpoints(run):
    assert run.reference() is None
    run.write_reference({"w": torch.arange(3.0)})
    for step in range(4):
        run.write_checkpoint(step, {"w": torch.ones(2)}, {})
    assert torch.equal(Run.open(run.path).reference()["w"], torch.arange(3.0))


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def test_a_damaged_snapshot_is_left_out_set_aside_and_measured_again(run):
    for step in (1, 2, 3):
        run.write_snapshot(step, xr.Dataset({"loss": float(step)}))
    damage(run.path / "snapshots" / "00000002.nc")
    again = Run.open(run.path)
    with pytest.warns(UserWarning, match=r"00000002\.nc is damaged: .*; it is left out"):
        assert again.steps() == [1, 3]
    np.testing.assert_array_equal(again.trajectory().loss, [1.0, 3.0])
    with pytest.raises(ValueError, match=r"00000002\.nc is damaged"):
        again.snapshot(2)
    with pytest.raises(FileExistsError, match="never overwritten"):
        again.write_snapshot(3, xr.Dataset({"loss": 0.0}))
    again.write_snapshot(2, xr.Dataset({"loss": 2.5}))
    assert Run.open(run.path).steps() == [1, 2, 3]
    assert (run.path / "snapshots" / "00000002.nc.damaged").exists()


def test_snapshots_of_other_runs_and_steps_are_left_out(run, tmp_path):
    other = Run.create(tmp_path / "other", run.config)
    for step in (1, 2):
        run.write_snapshot(step, xr.Dataset({"loss": 0.5}))
        other.write_snapshot(step, xr.Dataset({"loss": 9.0}))
    snapshots = run.path / "snapshots"
    shutil.copy(other.path / "snapshots" / "00000002.nc", snapshots / "00000002.nc")
    shutil.copy(snapshots / "00000001.nc", snapshots / "00000005.nc")
    (snapshots / "00000007.nc").mkdir()
    with pytest.warns(UserWarning, match="left out") as warned:
        assert run.steps() == [1]
    assert [str(warning.message).partition("snapshots/")[2] for warning in warned] == [
        "00000002.nc belongs to another run; it is left out",
        "00000005.nc holds step 1; it is left out",
        "00000007.nc cannot be read: it is a folder; it is left out",
    ]


def test_a_run_of_an_older_version_is_read_and_goes_on(tmp_path):
    (tmp_path / "config.json").write_text('{"seed": 0}', encoding="utf-8")
    (tmp_path / "snapshots").mkdir()
    old = xr.Dataset({"loss": 1.0}, coords={"step": 3})
    old.to_netcdf(tmp_path / "snapshots" / "00000003.nc", engine="netcdf4")
    run = Run.create(tmp_path, {"seed": 0})
    run.write_snapshot(4, xr.Dataset({"loss": 0.5}))
    np.testing.assert_array_equal(Run.open(tmp_path).trajectory().loss, [1.0, 0.5])


def test_damaged_reference_weights_are_named_and_eigenvectors_left_out(run):
    run.write_reference({"w": torch.arange(300.0)})
    run.write_eigenvectors(3, {"hessian": torch.ones(300, 2)})
    run.write_snapshot(3, xr.Dataset({"loss": 0.5}))
    damage(run.path / "reference.safetensors")
    damage(run.path / "eigenvectors" / "00000003.safetensors")
    with pytest.raises(ValueError, match=r"reference\.safetensors is damaged.*name another folder"):
        run.reference()
    with pytest.warns(UserWarning, match=r"00000003\.safetensors is damaged.*none are used"):
        assert run.eigenvectors() == {}


def test_damaged_json_is_named_with_what_to_do(run):
    run.write_summary({"loss": 0.5})
    (run.path / "summary.json").write_text('{"loss": 0.', encoding="utf-8")
    with pytest.raises(ValueError, match=r"summary\.json is damaged: .*; remove it"):
        run.summary()
    (run.path / "config.json").write_text("", encoding="utf-8")
    for refused in (lambda: Run.open(run.path), lambda: Run.create(run.path, {"seed": 0})):
        with pytest.raises(ValueError, match=r"config\.json is damaged: .*; restore it"):
            refused()


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "file").touch()
    for folder, said in (
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "run", "is a file"),
        (tmp_path / ("n" * 300), "File name too long"),
        ("", "empty name"),
        ("a\0b", "null"),
    ):
        with pytest.raises(OSError, match=f"run folder .*{said}.*name a"):
            Run.create(folder, {})


def test_a_second_writer_is_refused_until_the_first_has_ended(run, monkeypatch):
    holder = json.loads((run.path / "lock.json").read_text(encoding="utf-8"))
    assert holder["pid"] == os.getpid()
    Run.create(run.path, run.config).close()  # the same process may
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: os.getppid())
        with pytest.raises(BlockingIOError, match=f"written by process {holder['pid']} on"):
            Run.create(run.path, run.config)
    run.close()
    assert not (run.path / "lock.json").exists()


def test_a_failing_write_loses_nothing_written_before(run, monkeypatch):
    run.write_snapshot(3, xr.Dataset({"loss": 0.5}))

    def fail(*args, **kwargs):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fail)
        with pytest.raises(OSError, match="disk full"):
            run.write_snapshot(4, xr.Dataset({"loss": 0.4}))
    assert run.steps() == [3]
    run.write_snapshot(4, xr.Dataset({"loss": 0.4}))
    assert run.steps() == [3, 4]


def test_the_configuration_is_readable_json(run):
    assert json.loads((run.path / "config.json").read_text())["seed"] == 0
