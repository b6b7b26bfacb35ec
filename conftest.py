"""What every test and doctest shares: shapes enforced at run time, settings, the data folder."""

import gc
import os
from functools import lru_cache
from pathlib import Path

import jaxtyping
import pytest
import scipy.linalg  # noqa: F401 - its BLAS is another library than numpy's: loaded to be limited
import torch
from hypothesis import HealthCheck, settings
from matplotlib.mathtext import MathTextParser
from tests.shapes import check_shapes
from threadpoolctl import threadpool_limits

PACKAGES = (
    "problem",
    "products",
    "operators",
    "linalg",
    "random_model",
    "geometry",
    "hyperplanes",
)
"""Where shapes stand in the signatures, such as Float[Tensor, "D k"]: they hold in tests."""

check_shapes([f"landscope.{package}" for package in PACKAGES])

# Networks and matrices under test are small: threads cost more than they bring, most of all where
# several processes share the cores. No test depends on their number (torture/environments.py).
NUM_THREADS = int(os.environ.get("LANDSCOPE_TEST_THREADS", "1"))
torch.set_num_threads(NUM_THREADS)
threadpool_limits(NUM_THREADS)

# Labels with formulas take a fifth of drawing. Matplotlib keeps the last 50 that it has set, fewer
# than two pictures have; where it keeps them otherwise, tests take longer.
if hasattr(MathTextParser, "_parse_cached"):
    MathTextParser._parse_cached = lru_cache(2000)(MathTextParser._parse_cached.__wrapped__)

settings.register_profile(
    "landscope",
    derandomize=True,
    deadline=None,
    max_examples=15,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("landscope")


def pytest_collection_finish() -> None:
    """Leave what is loaded by now out of each later collection of garbage: it stays anyway."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let the interpreter end as it always does."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def landscope_data() -> Path:
    """Give the folder with MNIST, Fashion-MNIST and the CIFAR-10 subset."""
    folder = os.environ.get("LANDSCOPE_DATA")
    if not folder:
        pytest.skip("LANDSCOPE_DATA is not set: it names the folder that holds the data sets")
    if not Path(folder).is_dir():
        pytest.skip(f"LANDSCOPE_DATA names {folder}, which is no folder")
    return Path(folder)


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user: the types of arguments are not checked before landscope sees them."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def not_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of which nothing is looked at, without the layout, which takes most of the time."""
    monkeypatch.setattr(
        "landscope.figures.static.settle", lambda figure: figure.set_layout_engine("none")
    )
