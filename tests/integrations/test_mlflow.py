import json

import numpy as np
import pytest
import xarray as xr
from mlflow import MlflowClient
from PIL import Image

from landscope.integrations.histograms import histograms
from landscope.integrations.mlflow import MLflowTracker
from landscope.integrations.scalars import scalars


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # files alone: a test needs no database
    return (tmp_path / "runs").as_uri()


def runs(store, experiment):
    client = MlflowClient(store)
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id])


@pytest.mark.usefixtures("drawn_once")
def test_mlflow_reads_back_every_snapshot_at_its_step(snapshot, images, store, tmp_path):
    tracker = MLflowTracker(experiment="digits", tracking_uri=store)
    tracker.log(0, xr.Dataset({"loss": 9.0}))
    tracker.log(316, snapshot)
    tracker.close()
    (run,) = runs(store, "digits")
    assert run.info.status == "FINISHED"
    client = MlflowClient(store)
    losses = client.get_metric_history(run.info.run_id, "landscope/loss")
    assert [(m.step, m.value) for m in losses] == [(0, 9.0), (316, float(snapshot.loss))]
    assert run.data.metrics == pytest.approx(scalars(snapshot))
    for name, histogram in histograms(snapshot).items():
        path = client.download_artifacts(run.info.run_id, f"{name}/00000316.json", str(tmp_path))
        with open(path) as file:
            stored = json.load(file)
        assert stored == {"counts": histogram.counts.tolist(), "edges": histogram.edges.tolist()}
    folder = client.download_artifacts(run.info.run_id, "images", str(tmp_path))
    for name, image in images.items():
        (file,) = tmp_path.joinpath(folder).glob(f"*{name.split('/')[1]}*316*.png")
        np.testing.assert_array_equal(np.asarray(Image.open(file)), image)


def test_a_run_of_the_callers_stays_open(store):
    client = MlflowClient(store)
    run_id = client.create_run(client.create_experiment("mine")).info.run_id
    tracker = MLflowTracker(run_id, tracking_uri=store)
    tracker.log(5, xr.Dataset({"loss": 2.0}))
    tracker.close()
    run = client.get_run(run_id)
    assert run.info.status == "RUNNING"
    assert run.data.metrics == {"landscope/loss": 2.0}


def test_trackers_share_an_experiment_and_open_a_run_each_at_their_first_snapshot(store, tmp_path):
    first, second, unused = (MLflowTracker(tracking_uri=store) for _ in range(3))
    for tracker in (first, second):
        tracker.log(0, xr.Dataset({"loss": 1.0}))
    for tracker in (first, second, unused):
        tracker.close()
    assert len(runs(store, "landscope")) == 2


def test_a_store_that_mlflow_cannot_open_is_refused_before_training(monkeypatch):
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    with pytest.raises(ValueError, match=r"^MLflow cannot keep runs at nonsense://x \(.*\); give"):
        MLflowTracker(tracking_uri="nonsense://x")
    with pytest.raises(TypeError, match="tracking_uri is 3"):
        MLflowTracker(tracking_uri=3)


def test_a_run_that_is_not_there_is_refused(store):
    with pytest.raises(ValueError, match="run_id is 'abc', which MLflow does not have at file:"):
        MLflowTracker("abc", tracking_uri=store)


def test_an_experiment_beside_a_run_is_refused():
    with pytest.raises(ValueError, match=r"^experiment is 'mine'; the run abc has an experiment"):
        MLflowTracker("abc", experiment="mine")
