"""What losses over classes share: weights of classes, targets that are no term, and the mean."""

import copy
from typing import ClassVar, Self

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from landscope.arguments import shown
from landscope.problem.losses.targets import refuse_labels, refuse_other_classes


class ClassTargets:
    """A loss whose targets are classes, each with a weight.

    Parameters
    ----------
    ignore_index : int
        Targets with this value are no loss term.
    weight : Tensor, shape (C,), optional
        Weight of each class.
    weighted_mean : bool
        Divide by the sum of the terms' class weights, as torch does with ``reduction="mean"``,
        rather than by the number of terms.
    """

    convex: ClassVar[bool] = True
    predicts: ClassVar[str | None] = "class"

    def __init__(
        self,
        ignore_index: int = -100,
        weight: Float[Tensor, " C"] | None = None,
        weighted_mean: bool = True,
    ) -> None:
        self.ignore_index = ignore_index
        self.weight = _checked_weight(weight)
        self.weighted_mean = weighted_mean and weight is not None

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """The same loss with its class weights on the device and in the dtype of the logits."""
        moved = copy.copy(self)
        moved.weight = None if self.weight is None else self.weight.to(device, dtype)
        return moved

    def normalizer(self, targets: Shaped[Tensor, "T ..."]) -> float:
        """What the sum over these terms is divided by."""
        if self.weight is None or not self.weighted_mean or targets.is_floating_point():
            return float(len(targets))
        return float(self.weight[targets].sum(dtype=torch.float64))

    def check_targets(self, targets: Shaped[Tensor, "T ..."], num_classes: int, index: int) -> None:
        """Refuse labels that the logits do not have, and weights of another number of classes."""
        refuse_labels(targets, num_classes, index)
        refuse_other_classes(self.weight, num_classes)


def _checked_weight(weight: Float[Tensor, " C"] | None) -> Float[Tensor, " C"] | None:
    if weight is None:
        return None
    if not isinstance(weight, Tensor) or weight.ndim != 1:
        raise ValueError(f"weight of loss is {shown(weight)}; it must hold a number for each class")
    if not bool((weight.isfinite() & (weight >= 0)).all()):
        raise ValueError(
            f"loss has the class weight {float(weight.min()):.3g}; each must be finite, at least 0"
        )
    return weight
