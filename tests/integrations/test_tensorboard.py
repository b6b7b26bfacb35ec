import io

import numpy as np
import pytest
import xarray as xr
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from landscope.integrations.histograms import histograms
from landscope.integrations.scalars import scalars
from landscope.integrations.tensorboard import TensorBoardTracker


def events(folder):
    everything = {"scalars": 0, "histograms": 0, "images": 0}
    return EventAccumulator(str(folder), size_guidance=everything).Reload()


@pytest.mark.usefixtures("drawn_once")
def test_tensorboard_reads_back_every_snapshot_at_its_step(snapshot, images, tmp_path):
    tracker = TensorBoardTracker(tmp_path)
    tracker.log(0, xr.Dataset({"loss": 9.0}))
    tracker.log(316, snapshot)
    tracker.close()
    written = events(tmp_path)
    assert [(e.step, e.value) for e in written.Scalars("landscope/loss")] == [
        (0, 9.0),
        (316, pytest.approx(float(snapshot.loss), rel=1e-6)),
    ]
    shown = scalars(snapshot)
    assert set(written.Tags()["scalars"]) == set(shown)
    for name, value in shown.items():
        assert written.Scalars(name)[-1].value == pytest.approx(value, rel=1e-6), name
    for name, histogram in histograms(snapshot).items():
        (event,) = written.Histograms(name)
        stored = event.histogram_value
        assert event.step == 316
        np.testing.assert_allclose(stored.bucket, histogram.counts)
        np.testing.assert_allclose(stored.bucket_limit, histogram.edges[1:])
        assert (stored.min, stored.max) == (histogram.edges[0], histogram.edges[-1])
        assert stored.num == pytest.approx(float(snapshot.num_params))
        mean = np.average(histogram.edges[1:], weights=histogram.counts)
        bin_width = np.diff(histogram.edges)[0]
        assert stored.sum / stored.num == pytest.approx(mean, abs=bin_width)
    for name, image in images.items():
        (event,) = written.Images(name)
        read = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
        np.testing.assert_array_equal(read, image)


def test_a_summary_writer_of_the_callers_stays_open(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        tracker = TensorBoardTracker(writer)
        tracker.log(5, xr.Dataset({"loss": 2.0}))
        tracker.close()
        writer.add_scalar("train_loss", 3.0, 6)
    assert len(list(tmp_path.iterdir())) == 1
    written = events(tmp_path)
    assert written.Scalars("landscope/loss")[0].step == 5
    assert written.Scalars("train_loss")[0].value == 3.0


def test_nothing_is_opened_before_the_first_snapshot(tmp_path):
    TensorBoardTracker(tmp_path / "events").close()
    assert not (tmp_path / "events").exists()


def test_a_place_that_is_neither_folder_nor_writer_is_refused():
    with pytest.raises(TypeError, match=r"^where is 5; accepted are a folder and a SummaryWriter$"):
        TensorBoardTracker(5)
