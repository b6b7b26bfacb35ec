"""A lossless subset of CIFAR-10 in one small file."""

import numpy as np

from landscope.zoo.datasets.location import data_folders, find, not_found
from landscope.zoo.datasets.source import Source

TITLE = "CIFAR-10 (7,897-image subset)"
_FILE = "CIFAR10-subset/cifar10-subset.npz"
_CLASS_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def load(data_root: str | None) -> Source:
    """Return 7,897 training and 932 test images of CIFAR-10, pixels unchanged.

    Parameters
    ----------
    data_root : str, optional
        Folder that holds `CIFAR10-subset/cifar10-subset.npz`.

    Raises
    ------
    DataNotFoundError
        If the file is not there; it is not to be downloaded.
    """
    folders = data_folders(data_root)
    path = find(folders, _FILE)
    if path is None:
        raise not_found(TITLE, _FILE, folders, "it cannot be downloaded (cifar10 can)")
    with np.load(path, allow_pickle=False) as arrays:
        return Source(
            title=TITLE,
            class_names=_CLASS_NAMES,
            train_inputs=arrays["x_train"].transpose(0, 3, 1, 2),
            train_targets=arrays["y_train"].astype(np.int64),
            test_inputs=arrays["x_test"].transpose(0, 3, 1, 2),
            test_targets=arrays["y_test"].astype(np.int64),
        )
