import numpy as np
import pytest
import torch
import xarray as xr

from landscope.runs.snapshot import read_snapshot, write_snapshot


@pytest.fixture
def dataset():
    generator = np.random.default_rng(0)
    return xr.Dataset(
        {
            "loss": ((), 0.5, {"units": "nats", "definition": "mean of −log p_y"}),
            "num_examples": 7,
            "eigenvalues": ("rank", generator.normal(size=4)),
            "single": ("rank", generator.normal(size=4).astype(np.float32)),
            "targets": ("example", np.arange(7)),
            "drift": np.nan,
        },
        attrs={"title": "Fort & Ganguli — λ", "seed": 3},
    )


def test_a_snapshot_comes_back_identical(tmp_path, dataset):
    write_snapshot(tmp_path / "a.nc", dataset)
    back = read_snapshot(tmp_path / "a.nc")
    xr.testing.assert_identical(back, dataset)
    assert back.single.dtype == np.float32


def test_a_snapshot_is_never_overwritten(tmp_path, dataset):
    write_snapshot(tmp_path / "a.nc", dataset)
    with pytest.raises(FileExistsError, match="never overwritten"):
        write_snapshot(tmp_path / "a.nc", dataset.assign(loss=0.1))
    xr.testing.assert_identical(read_snapshot(tmp_path / "a.nc"), dataset)


def test_text_of_any_class_is_kept_as_an_attribute(tmp_path, dataset):
    version = torch.__version__
    assert type(version) is not str
    labelled = dataset.assign_attrs(version=version)
    labelled.loss.attrs["version"] = version
    write_snapshot(tmp_path / "a.nc", labelled)
    back = read_snapshot(tmp_path / "a.nc")
    assert back.attrs["version"] == back.loss.attrs["version"] == str(version)
    assert labelled.attrs["version"] is version
    assert labelled.loss.attrs["version"] is version
