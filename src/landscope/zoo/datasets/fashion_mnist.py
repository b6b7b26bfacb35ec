"""Fashion-MNIST: 70,000 pictures of clothing of 28×28 pixels."""

from pathlib import Path

from landscope.zoo.datasets.mnist import load_idx_images
from landscope.zoo.datasets.source import Source

_CLASS_NAMES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


def load(data_root: str | None, *, download: bool) -> Source:
    """Return Fashion-MNIST from `FashionMNIST/raw`, downloaded by torchvision where absent.

    Parameters
    ----------
    data_root : str, optional
        Folder that holds `FashionMNIST/raw`.
    download : bool
        Whether the network may be used.

    Raises
    ------
    DataNotFoundError
        If the files are nowhere to be had.

    Notes
    -----
    Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747.
    """

    def fetch_all(folder: Path) -> object:
        from torchvision.datasets import FashionMNIST

        return FashionMNIST(folder, download=True)

    return load_idx_images(
        "FashionMNIST", "Fashion-MNIST", _CLASS_NAMES, fetch_all, data_root, download=download
    )
