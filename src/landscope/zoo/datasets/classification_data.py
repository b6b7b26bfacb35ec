"""A data set ready for training: standardised inputs, integer targets, fixed split."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from landscope.zoo.datasets.class_balance import balanced_subset, relabelled
from landscope.zoo.datasets.source import Source


@dataclass(frozen=True)
class ClassificationData:
    """Training and test examples of one classification problem.

    Attributes
    ----------
    title : str
        Name to print in figures and tables.
    class_names : tuple of str
        Name of class c at position c.
    train_inputs, test_inputs : Tensor
        float32 (N, *input_shape): (raw − mean)/std.
    train_targets, test_targets : Tensor
        int64 (N,), from 0 to C − 1.
    mean, std : tuple of float
        Per channel (per data set where inputs have no channels), over the source's whole training
        set and all its classes; pixels are scaled to [0, 1] first.
    """

    title: str
    class_names: tuple[str, ...]
    train_inputs: Float[Tensor, "N_train ..."]
    train_targets: Int[Tensor, "N_train"]
    test_inputs: Float[Tensor, "N_test ..."]
    test_targets: Int[Tensor, "N_test"]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example, without the batch dimension."""
        return tuple(self.train_inputs.shape[1:])

    @property
    def train(self) -> tuple[Tensor, Tensor]:
        """Training inputs and targets, as `ls.Problem` takes them."""
        return self.train_inputs, self.train_targets

    @property
    def test(self) -> tuple[Tensor, Tensor]:
        """Test inputs and targets."""
        return self.test_inputs, self.test_targets


def prepare(
    source: Source,
    *,
    classes: Sequence[int] | None = None,
    max_examples: int | None = None,
    max_test_examples: int | None = None,
    seed: int = 0,
) -> ClassificationData:
    """Choose examples of a source and standardise them.

    Parameters
    ----------
    source : Source
        Raw arrays.
    classes : sequence of int, optional
        Keep these classes only; the class at position c becomes class c.
    max_examples, max_test_examples : int, optional
        Keep at most so many, classes as balanced as the data allow.
    seed : int
        Seed of that choice.

    Returns
    -------
    ClassificationData

    Raises
    ------
    ValueError
        If `classes` or a number of examples is not accepted.
    """
    kept = _checked_classes(classes, len(source.class_names))
    mean, std = _moments(source.train_inputs)

    def to_tensor(moment: np.ndarray) -> Tensor:
        return torch.from_numpy(moment).to(torch.float32)

    def part(inputs: np.ndarray, targets: np.ndarray, limit: int | None) -> tuple[Tensor, Tensor]:
        indices, labels = relabelled(targets, kept)
        if limit is not None:
            drawn = balanced_subset(labels, limit, seed)
            indices, labels = indices[drawn], labels[drawn]
        scaled = torch.from_numpy(_scaled(inputs[indices])).to(torch.float32)
        return (scaled - to_tensor(mean)) / to_tensor(std), torch.from_numpy(labels)

    for name, limit in (("max_examples", max_examples), ("max_test_examples", max_test_examples)):
        if limit is not None and limit < 1:
            raise ValueError(f"{name}={limit} must be a positive integer, or None for all examples")
    train_inputs, train_targets = part(source.train_inputs, source.train_targets, max_examples)
    test_inputs, test_targets = part(source.test_inputs, source.test_targets, max_test_examples)
    return ClassificationData(
        title=source.title,
        class_names=tuple(source.class_names[c] for c in kept),
        train_inputs=train_inputs,
        train_targets=train_targets,
        test_inputs=test_inputs,
        test_targets=test_targets,
        mean=tuple(mean.ravel().tolist()),
        std=tuple(std.ravel().tolist()),
    )


def _checked_classes(classes: Sequence[int] | None, num_classes: int) -> tuple[int, ...]:
    kept = tuple(range(num_classes)) if classes is None else tuple(classes)
    if len(kept) < 2 or len(set(kept)) < len(kept) or not set(kept) <= set(range(num_classes)):
        raise ValueError(
            f"classes={classes!r} must hold at least two different classes from 0 to "
            f"{num_classes - 1}"
        )
    return kept


def _scaled(inputs: np.ndarray) -> np.ndarray:
    """Bring 8-bit pixels to [0, 1]; leave real inputs as they are."""
    return inputs / np.float32(255) if inputs.dtype == np.uint8 else inputs


def _moments(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation per channel of images, over everything otherwise."""
    scale = 255.0 if inputs.dtype == np.uint8 else 1.0
    is_images = inputs.ndim == 4
    channels = inputs.swapaxes(0, 1) if is_images else inputs[None]
    # One channel at a time: the temporary of `std` in float64 is eight times the pixels.
    mean = np.array([channel.mean(dtype=np.float64) for channel in channels]) / scale
    std = np.array([channel.std(dtype=np.float64) for channel in channels]) / scale
    return (mean[:, None, None], std[:, None, None]) if is_images else (mean, std)
