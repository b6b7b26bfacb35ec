import numpy as np
import pytest
import xarray as xr

from landscope.integrations.pictures import pictures
from tests.figures import synthetic


@pytest.fixture(scope="session")
def snapshot() -> xr.Dataset:
    return synthetic.snapshot(316)


@pytest.fixture(scope="session")
def images(snapshot) -> dict[str, np.ndarray]:
    return pictures(316, snapshot)
