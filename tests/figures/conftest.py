from pathlib import Path

import pytest
import xarray as xr

from landscope.figures import write_report
from tests.figures import synthetic


@pytest.fixture(scope="session")
def trajectory() -> xr.Dataset:
    return synthetic.trajectory()


@pytest.fixture(scope="session")
def three_classes() -> xr.Dataset:
    return synthetic.trajectory(num_classes=3, num_examples=90, rank=8)


@pytest.fixture(scope="session")
def snapshot() -> xr.Dataset:
    return synthetic.snapshot(316)


@pytest.fixture(scope="session")
def report(trajectory, tmp_path_factory) -> Path:
    return write_report(
        trajectory,
        tmp_path_factory.mktemp("run") / "report.html",
        config={
            "network": "small_cnn",
            "data": "digits",
            "optimizer": "sgd",
            "momentum": 0.9,
            "measure": {"num_probes": 8},
        },
    )
