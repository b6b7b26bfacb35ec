import re

import numpy as np
import pytest
import wandb
import xarray as xr
from PIL import Image

from landscope.integrations.histograms import histograms
from landscope.integrations.scalars import scalars
from landscope.integrations.wandb import WandbTracker
from tests.integrations.wandb_file import history


@pytest.fixture
def offline(tmp_path, monkeypatch):
    for name, value in (("SILENT", "true"), ("CONSOLE", "off"), ("ERROR_REPORTING", "false")):
        monkeypatch.setenv(f"WANDB_{name}", value)
    return {"project": "landscope", "mode": "offline", "dir": str(tmp_path)}


@pytest.mark.usefixtures("drawn_once")
def test_a_run_of_its_own_holds_every_snapshot(snapshot, images, offline, tmp_path):
    tracker = WandbTracker(**offline)
    assert not list(tmp_path.iterdir())  # opened at the first snapshot
    for step, loss in ((0, 9.0), (10, 8.0)):
        tracker.log(step, xr.Dataset({"loss": loss}))
    tracker.log(316, snapshot)
    tracker.close()
    (file,) = tmp_path.rglob("*.wandb")
    rows = history(file)
    losses = [(row["landscope/step"], row["landscope/loss"]) for row in rows]
    assert losses == [(0, 9.0), (10, 8.0), (316, float(snapshot.loss))]
    last = rows[-1]
    for name, value in scalars(snapshot).items():
        assert last[name] == pytest.approx(value, rel=1e-12), name
    for name, histogram in histograms(snapshot).items():
        assert last[f"{name}._type"] == "histogram"
        np.testing.assert_allclose(last[f"{name}.values"], histogram.counts)
        np.testing.assert_allclose(last[f"{name}.bins"], histogram.edges)
    for name, image in images.items():
        read = Image.open(file.parent / "files" / last[f"{name}.path"])
        np.testing.assert_array_equal(np.asarray(read)[..., :3], image)


def test_a_run_of_the_callers_keeps_its_own_steps_and_stays_open(offline, tmp_path):
    with wandb.init(**offline) as run:
        tracker = WandbTracker(run)
        for step in range(10):
            if step in (0, 3, 5, 6, 7):
                tracker.log(step, xr.Dataset({"loss": float(step)}))
            if step in (0, 1, 4, 9):
                run.log({"train_loss": -float(step)}, step=step)
        tracker.close()
        run.log({"train_loss": -10.0}, step=10)
    (file,) = tmp_path.rglob("*.wandb")
    rows = history(file)
    own = [(row["_step"], row["train_loss"]) for row in rows if "train_loss" in row]
    assert own == [(step, -float(step)) for step in (0, 1, 4, 9, 10)]
    measured = [row["landscope/loss"] for row in rows if "landscope/loss" in row]
    assert measured == [0.0, 3.0, 5.0, 6.0, 7.0]
    assert all(row["landscope/step"] == row["landscope/loss"] for row in rows if len(row) > 4)


def test_a_tracker_does_not_finish_another_run_of_the_process(offline, tmp_path):
    with wandb.init(**offline) as run:
        tracker = WandbTracker(**offline)
        tracker.log(0, xr.Dataset({"loss": 1.0}))
        tracker.close()
        run.log({"train_loss": 2.0})
    found = sorted(
        (name, value)
        for file in tmp_path.rglob("*.wandb")
        for row in history(file)
        for name, value in row.items()
        if name.endswith("loss")
    )
    assert found == [("landscope/loss", 1.0), ("train_loss", 2.0)]


def test_what_is_no_run_is_refused():
    sentence = (
        "run is 'digits'; accepted are a run of wandb.init, or its arguments by name, such as "
        "project="
    )
    with pytest.raises(TypeError, match=f"^{re.escape(sentence)}$"):
        WandbTracker("digits")


def test_arguments_for_another_run_are_refused_beside_a_run():
    with wandb.init(mode="disabled") as run, pytest.raises(TypeError, match="and so are project"):
        WandbTracker(run, project="digits")


def test_a_run_online_without_a_login_is_refused_before_training(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    wandb.teardown()
    with pytest.raises(ValueError, match=r'no API key of W&B is configured: .* mode="offline"'):
        WandbTracker(project="digits")
    WandbTracker(project="digits", mode="offline")


def test_what_wandb_does_not_take_is_refused():
    with pytest.raises(TypeError, match=r"^projct is no argument of wandb.init"):
        WandbTracker(projct="digits")
