from functools import cache
from pathlib import Path

import pytest
import xarray as xr

from landscope.figures import static, write_report
from landscope.figures.gallery import OBSERVATIONS, PROPERTIES
from landscope.figures.panel import Panel
from landscope.figures.style import PAPER
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
def for_print(trajectory):
    """Give a picture of the run for print, drawn when it is first asked for."""
    return cache(lambda picture: picture.figure(trajectory))


@pytest.fixture(scope="session")
def for_the_screen(trajectory):
    """Give a picture of the run for the screen, drawn when it is first asked for."""
    return cache(lambda picture: picture.interactive(trajectory))


@pytest.fixture(scope="session")
def report(trajectory, for_the_screen, tmp_path_factory) -> Path:
    """The report of the run, of pictures that are drawn once for all tests.

    Files for print, whose pictures test_gallery.py looks at, show an empty panel in few pixels.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PAPER, "savefig.dpi", 60)
        printed = static.draw([[Panel("A panel", "x", "y", [])]])
        # Not the monitors, which what the report reads from the configuration decides.
        for picture in (*PROPERTIES, *OBSERVATIONS):
            shown = for_the_screen(picture)
            patch.setattr(picture, "figure", lambda _: printed)
            patch.setattr(picture, "interactive", lambda _, drawn=shown: drawn)
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
