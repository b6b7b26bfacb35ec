"""Mixtures of isotropic Gaussians: data whose structure is known."""

import math

import numpy as np

from landscope.zoo.datasets.classification_data import ClassificationData, prepare
from landscope.zoo.datasets.source import Source


def gaussian_mixture(
    num_classes: int = 10,
    dim: int = 32,
    *,
    separation: float = 3.0,
    num_train: int = 1000,
    num_test: int = 500,
    seed: int = 0,
) -> ClassificationData:
    """Draw a mixture of Gaussians, one per class, and standardise it.

    Parameters
    ----------
    num_classes : int
        Number of classes C, all equally likely.
    dim : int
        Dimension of the inputs.
    separation : float
        Distance between two class means in units of the noise, on average over draws (root mean
        square).
    num_train, num_test : int
        Numbers of examples; classes differ by one at most.
    seed : int
        The same seed gives the same data.

    Returns
    -------
    ClassificationData
        Inputs (N, dim).

    Raises
    ------
    ValueError
        If an argument is out of range.

    Notes
    -----
    Class means are N(0, separation²/(2·dim) I), noise is N(0, I).

    Examples
    --------
    >>> data = gaussian_mixture(num_classes=3, dim=5, num_train=12, num_test=6)
    >>> data.train_inputs.shape, data.train_targets.bincount().tolist()
    (torch.Size([12, 5]), [4, 4, 4])
    """
    return prepare(
        mixture_source(
            num_classes,
            dim,
            separation=separation,
            num_train=num_train,
            num_test=num_test,
            seed=seed,
        )
    )


def mixture_source(
    num_classes: int = 10,
    dim: int = 32,
    *,
    separation: float = 3.0,
    num_train: int = 1000,
    num_test: int = 500,
    seed: int = 0,
) -> Source:
    """Return the raw draw that `gaussian_mixture` standardises; the same parameters."""
    if num_classes < 2:
        raise ValueError(f"num_classes={num_classes} must be at least 2")
    if dim < 1:
        raise ValueError(f"dim={dim} must be positive")
    if not (math.isfinite(separation) and separation >= 0):
        raise ValueError(f"separation={separation} must be finite and not negative")
    if min(num_train, num_test) < num_classes:
        raise ValueError(
            f"num_train={num_train} and num_test={num_test} must each be at least "
            f"num_classes={num_classes}"
        )
    rng = np.random.default_rng(seed)
    means = rng.normal(scale=separation / math.sqrt(2 * dim), size=(num_classes, dim))

    def draw(num_examples: int) -> tuple[np.ndarray, np.ndarray]:
        targets = rng.permutation(np.arange(num_examples) % num_classes)
        return means[targets] + rng.normal(size=(num_examples, dim)), targets

    train_inputs, train_targets = draw(num_train)
    test_inputs, test_targets = draw(num_test)
    return Source(
        title=f"Gaussian mixture ({num_classes} classes, dimension {dim})",
        class_names=tuple(f"class {c}" for c in range(num_classes)),
        train_inputs=train_inputs,
        train_targets=train_targets,
        test_inputs=test_inputs,
        test_targets=test_targets,
    )
