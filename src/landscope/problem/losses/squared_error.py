"""Half the squared distance of outputs and targets: its value and derivatives for each example."""

from typing import ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from landscope.problem.losses.targets import (
    are_labels,
    one_hot,
    refuse_labels,
    refuse_unpaired,
)


class MeanSquaredError:
    """½‖z − y‖² for each example; class-index targets are read as one-hot vectors.

    With a single output, whole numbers are numbers.

    Parameters
    ----------
    over_outputs : bool
        Take the mean (1/C) Σ_k (z_k − y_k)² of each term instead, as ``nn.MSELoss`` does: a = 2/C
        times as much.

    Examples
    --------
    >>> import torch
    >>> MeanSquaredError().terms(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]]))
    tensor([12.5000])
    """

    convex: ClassVar[bool] = True

    def __init__(self, over_outputs: bool = False) -> None:
        self.over_outputs = over_outputs

    def terms(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, " T"]:
        """a/2 ‖z − y‖² of each term."""
        distance = _difference(logits, targets).square().sum(1)
        return 0.5 * self._scale(logits) * distance

    def gradient(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, "T C"]:
        """a (z − y) for each term."""
        return self._scale(logits) * _difference(logits, targets)

    def hessian_vector_product(
        self,
        logits: Float[Tensor, "T C"],
        targets: Shaped[Tensor, "T ..."],
        vectors: Float[Tensor, "T C"],
    ) -> Float[Tensor, "T C"]:
        """a v: the Hessian in the logits is a times the identity."""
        return self._scale(logits) * vectors if self.over_outputs else vectors

    def hessian_factor(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, "T C C"]:
        """√a times the identity for each term."""
        identity = torch.eye(logits.shape[1], dtype=logits.dtype, device=logits.device)
        return (self._scale(logits) ** 0.5 * identity).expand(len(logits), -1, -1)

    def _scale(self, logits: Float[Tensor, "T C"]) -> float:
        return 2 / logits.shape[1] if self.over_outputs else 1.0

    def check_targets(self, targets: Shaped[Tensor, "T ..."], num_classes: int, index: int) -> None:
        """Refuse labels that the logits do not have, and what is no vector of their length."""
        if are_labels(targets) and num_classes > 1:
            refuse_labels(targets, num_classes, index)
        else:
            refuse_unpaired(targets, num_classes, index, "'mse'")


def _difference(
    logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
) -> Float[Tensor, "T C"]:
    """z − y, each target paired with its output."""
    if are_labels(targets) and logits.shape[1] > 1:
        targets = one_hot(targets, logits)
    return logits - targets.to(logits.dtype).reshape(logits.shape)
