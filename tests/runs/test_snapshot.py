import numpy as np
import pytest
import torch
import xarray as xr

from landscope.runs.seal import DamagedFileError, Seal
from landscope.runs.snapshot import check_snapshot, read_snapshot, write_snapshot

SEAL = Seal("0123", 120)


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
        coords={"step": 120},
        attrs={"title": "Fort & Ganguli — λ", "seed": 3},
    )


def test_a_snapshot_comes_back_identical(tmp_path, dataset):
    write_snapshot(tmp_path / "a.nc", dataset, SEAL)
    back = read_snapshot(tmp_path / "a.nc", SEAL)
    xr.testing.assert_identical(back, dataset)
    assert back.single.dtype == np.float32


def test_any_changed_byte_is_found_before_hdf5_reads_it(tmp_path, dataset):
    path = tmp_path / "a.nc"
    write_snapshot(path, dataset, SEAL)
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    for at in generator.integers(0, len(whole), 200):
        changed = bytearray(whole)
        changed[at] ^= 1 << generator.integers(8)
        path.write_bytes(changed)
        with pytest.raises(DamagedFileError, match=r"a\.nc"):
            check_snapshot(path, SEAL)
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedFileError, match=r"a\.nc is damaged"):
            check_snapshot(path, SEAL)


@pytest.mark.parametrize("engine", ["netcdf4", "h5netcdf"])
def test_other_readers_of_netcdf_see_nothing_of_the_seal(tmp_path, dataset, engine):
    write_snapshot(tmp_path / "a.nc", dataset, SEAL)
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "a.nc", engine=engine), dataset)


@pytest.mark.parametrize(
    ("seal", "said"), [(Seal("4567", 120), "another run"), (Seal("0123", 10), "holds step 120")]
)
def test_a_snapshot_of_another_run_or_step_is_named(tmp_path, dataset, seal, said):
    write_snapshot(tmp_path / "a.nc", dataset, SEAL)
    with pytest.raises(DamagedFileError, match=rf"a\.nc .*{said}"):
        read_snapshot(tmp_path / "a.nc", seal)


def test_a_snapshot_of_an_older_version_has_no_seal_and_is_read(tmp_path, dataset):
    dataset.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    xr.testing.assert_identical(read_snapshot(tmp_path / "a.nc", Seal(None, 120)), dataset)
    with pytest.raises(DamagedFileError, match="without the seal of its run"):
        check_snapshot(tmp_path / "a.nc", SEAL)
    with pytest.raises(DamagedFileError, match="holds step 120"):
        check_snapshot(tmp_path / "a.nc", Seal(None, 10))
    (tmp_path / "a.nc").write_bytes((tmp_path / "a.nc").read_bytes()[:3000])
    with pytest.raises(DamagedFileError, match=r"a\.nc is damaged"):
        check_snapshot(tmp_path / "a.nc", Seal(None, 120))


def test_text_of_any_class_is_kept_as_an_attribute(tmp_path, dataset):
    version = torch.__version__
    assert type(version) is not str
    labelled = dataset.assign_attrs(version=version)
    labelled.loss.attrs["version"] = version
    write_snapshot(tmp_path / "a.nc", labelled, SEAL)
    back = read_snapshot(tmp_path / "a.nc", SEAL)
    assert back.attrs["version"] == back.loss.attrs["version"] == str(version)
    assert labelled.attrs["version"] is version
    assert labelled.loss.attrs["version"] is version
