"""MNIST: 70,000 handwritten digits of 28×28 pixels."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from landscope.zoo.datasets.idx import read_idx
from landscope.zoo.datasets.location import data_folders, fetch, find
from landscope.zoo.datasets.source import Source

_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def load(data_root: str | None, *, download: bool) -> Source:
    """Return MNIST from `MNIST/raw`, downloaded by torchvision where absent.

    Parameters
    ----------
    data_root : str, optional
        Folder that holds `MNIST/raw`.
    download : bool
        Whether the network may be used.

    Raises
    ------
    DataNotFoundError
        If the files are nowhere to be had.
    """

    def fetch_all(folder: Path) -> object:
        from torchvision.datasets import MNIST

        return MNIST(folder, download=True)

    digits = tuple(str(digit) for digit in range(10))
    return load_idx_images("MNIST", "MNIST", digits, fetch_all, data_root, download=download)


def load_idx_images(
    folder: str,
    title: str,
    class_names: Sequence[str],
    fetch_all: Callable[[Path], object],
    data_root: str | None,
    *,
    download: bool,
) -> Source:
    """Return a data set of the form of MNIST from the idx files in `folder`/raw."""
    folders = data_folders(data_root)

    def files() -> list[Path | None]:
        # The compressed file first: it carries a checksum, a half-extracted one does not.
        names = [f"{folder}/raw/{name}" for name in _FILES]
        return [find(folders, f"{name}.gz", name) for name in names]

    if None in files():
        fetch(title, fetch_all, f"{folder}/raw/{_FILES[0]}[.gz]", folders, allowed=download)
    arrays = [read_idx(path) for path in files() if path is not None]
    train_images, train_labels, test_images, test_labels = arrays
    return Source(
        title=title,
        class_names=tuple(class_names),
        train_inputs=train_images[:, None],
        train_targets=train_labels.astype(np.int64),
        test_inputs=test_images[:, None],
        test_targets=test_labels.astype(np.int64),
    )
