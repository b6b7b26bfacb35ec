import pytest
import xarray as xr

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
