"""CIFAR-10 and CIFAR-100: 60,000 colour pictures of 32×32 pixels."""

from pathlib import Path
from typing import Any

import numpy as np

from landscope.zoo.datasets.location import data_folders, fetch
from landscope.zoo.datasets.source import Source


def load_cifar10(data_root: str | None, *, download: bool) -> Source:
    """Return CIFAR-10 from `cifar-10-batches-py`, downloaded by torchvision where absent.

    Parameters
    ----------
    data_root : str, optional
        Folder that holds `cifar-10-batches-py`.
    download : bool
        Whether the network may be used.

    Raises
    ------
    DataNotFoundError
        If the files are nowhere to be had.

    Notes
    -----
    The files are pickles; torchvision opens only those whose MD5 sum is the official one.
    """
    from torchvision.datasets import CIFAR10

    return _load(CIFAR10, "CIFAR-10", data_root, download)


def load_cifar100(data_root: str | None, *, download: bool) -> Source:
    """Return CIFAR-100 (fine labels) from `cifar-100-python`, as `load_cifar10` does."""
    from torchvision.datasets import CIFAR100

    return _load(CIFAR100, "CIFAR-100", data_root, download)


def _load(dataset: Any, title: str, data_root: str | None, download: bool) -> Source:
    folders = data_folders(data_root)
    found = _open_in(dataset, folders)
    if found is None:
        fetch(
            title,
            lambda folder: dataset(folder, download=True),
            dataset.base_folder,
            folders,
            allowed=download,
        )
        found = _open_in(dataset, folders)
    assert found is not None, "torchvision accepted its own download"
    train, test = found
    return Source(
        title=title,
        class_names=tuple(train.classes),
        train_inputs=train.data.transpose(0, 3, 1, 2),
        train_targets=np.asarray(train.targets, dtype=np.int64),
        test_inputs=test.data.transpose(0, 3, 1, 2),
        test_targets=np.asarray(test.targets, dtype=np.int64),
    )


def _open_in(dataset: Any, folders: tuple[Path, ...]) -> tuple[Any, Any] | None:
    for folder in folders:
        if (folder / dataset.base_folder).is_dir():
            try:
                return dataset(folder, train=True), dataset(folder, train=False)
            except RuntimeError:  # incomplete or damaged: the next folder, or a download
                continue
    return None
