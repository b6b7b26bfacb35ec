"""The digits of scikit-learn: 1,797 images of 8×8 pixels, embedded in that package."""

from functools import cache

import numpy as np

from landscope.zoo.datasets.class_balance import rank_in_class
from landscope.zoo.datasets.source import Source

_LARGEST_PIXEL = 16.0
_TEST_EVERY = 5


def load() -> Source:
    """Return the digits; every fifth image of each class is a test image.

    Returns
    -------
    Source
        1,442 training and 355 test images (1, 8, 8), pixels in [0, 1].

    Examples
    --------
    >>> load().train_inputs.shape
    (1442, 1, 8, 8)
    """
    images, targets = _read()
    images = images[:, None].astype(np.float32) / np.float32(_LARGEST_PIXEL)
    targets = targets.astype(np.int64)
    is_test = rank_in_class(targets) % _TEST_EVERY == _TEST_EVERY - 1
    return Source(
        title="Digits (8 x 8)",
        class_names=tuple(str(digit) for digit in range(10)),
        train_inputs=images[~is_test],
        train_targets=targets[~is_test],
        test_inputs=images[is_test],
        test_targets=targets[is_test],
    )


@cache  # the package has them as text, which takes long to read
def _read() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.images, digits.target
