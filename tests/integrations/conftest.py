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
    """Without their layout, which takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "landscope.figures.static.settle", lambda figure: figure.set_layout_engine("none")
        )
        return pictures(316, snapshot)


@pytest.fixture
def drawn_once(snapshot, images, monkeypatch) -> None:
    """Trackers do not draw again what the images show: step 316."""

    def recall(step, shown):
        return images if (step, shown is snapshot) == (316, True) else pictures(step, shown)

    for tracker in ("wandb", "mlflow", "tensorboard"):
        monkeypatch.setattr(f"landscope.integrations.{tracker}.pictures", recall)
