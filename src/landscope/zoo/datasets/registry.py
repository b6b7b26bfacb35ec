"""Data sets by name."""

import os
from collections.abc import Callable, Sequence

from landscope.arguments import choice
from landscope.zoo.datasets import cifar, cifar10_subset, digits, fashion_mnist, mnist
from landscope.zoo.datasets.classification_data import ClassificationData, prepare
from landscope.zoo.datasets.gaussian_mixture import mixture_source
from landscope.zoo.datasets.source import Source

# Each takes (data_root, download, seed) and ignores what it does not need.
_SOURCES: dict[str, Callable[[str | None, bool, int], Source]] = {
    "digits": lambda root, download, seed: digits.load(),
    "mnist": lambda root, download, seed: mnist.load(root, download=download),
    "fashion_mnist": lambda root, download, seed: fashion_mnist.load(root, download=download),
    "cifar10": lambda root, download, seed: cifar.load_cifar10(root, download=download),
    "cifar10_subset": lambda root, download, seed: cifar10_subset.load(root),
    "cifar100": lambda root, download, seed: cifar.load_cifar100(root, download=download),
    "gaussian_mixture": lambda root, download, seed: mixture_source(seed=seed),
}
DATASETS = tuple(_SOURCES)


def load_dataset(
    name: str = "digits",
    data_root: str | os.PathLike[str] | None = None,
    *,
    classes: Sequence[int] | None = None,
    max_examples: int | None = None,
    max_test_examples: int | None = None,
    seed: int = 0,
    download: bool = True,
) -> ClassificationData:
    """Return the data set called `name`, standardised.

    Parameters
    ----------
    name : str
        "digits" (embedded), "mnist", "fashion_mnist", "cifar10", "cifar100", "cifar10_subset"
        (one file) or "gaussian_mixture" (drawn from `seed`).
    data_root : path, optional
        Folder that holds the files; it is only read. Without it, the environment variable
        LANDSCOPE_DATA is used; the cache folder `~/.cache/landscope` comes last, and downloads
        go there.
    classes : sequence of int, optional
        Keep these classes only; the class at position c becomes class c.
    max_examples, max_test_examples : int, optional
        Keep at most so many training or test examples, classes as balanced as the data allow.
    seed : int
        Seed of that choice, and of data that are drawn.
    download : bool
        Whether absent files may be fetched over the network.

    Returns
    -------
    ClassificationData

    Raises
    ------
    ValueError
        If an argument is none of those accepted.
    DataNotFoundError
        If the files are absent and cannot be downloaded.

    Examples
    --------
    >>> data = load_dataset("digits", classes=[3, 5, 8], max_examples=30)
    >>> data.class_names, data.train_targets.bincount().tolist()
    (('3', '5', '8'), [10, 10, 10])
    """
    load = _SOURCES[choice("data set name", name, DATASETS)]
    root = None if data_root is None else os.fspath(data_root)
    return prepare(
        load(root, download, seed),
        classes=classes,
        max_examples=max_examples,
        max_test_examples=max_test_examples,
        seed=seed,
    )
