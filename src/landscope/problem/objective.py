"""A number of the whole model and batch in place of a loss of its logits.

It goes through the same sums: each example of a batch has one output, its share of the number, and
the loss of an example is that output itself.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from landscope.arguments import shown
from landscope.problem.data import num_rows
from landscope.problem.forward import Forward

Objective = Callable[[Any, Any], Tensor | tuple[Tensor, float | Tensor]]
"""(model, batch) ↦ a mean over the batch's examples, or (sum, count)."""


class OutputItself:
    """The one output of a row as its loss; targets are what a row counts for in the mean."""

    name = "objective"

    def terms(
        self, logits: Float[Tensor, "T 1"], targets: Shaped[Tensor, " T"]
    ) -> Float[Tensor, " T"]:
        """The output."""
        return logits[:, 0]

    def gradient(
        self, logits: Float[Tensor, "T 1"], targets: Shaped[Tensor, " T"]
    ) -> Float[Tensor, "T 1"]:
        """One."""
        return torch.ones_like(logits)

    def hessian_vector_product(
        self,
        logits: Float[Tensor, "T 1"],
        targets: Shaped[Tensor, " T"],
        vectors: Float[Tensor, "T 1"],
    ) -> Float[Tensor, "T 1"]:
        """Zero."""
        return torch.zeros_like(vectors)

    def normalizer(self, targets: Shaped[Tensor, " T"]) -> float:
        """The count of the batches."""
        return float(targets.sum(dtype=torch.float64))


def forward_of(objective: Objective) -> Forward:
    """(model, batch) ↦ the share of each example in the sum, and in the count.

    Examples
    --------
    >>> forward = forward_of(lambda model, batch: model(batch).mean())
    >>> forward(torch.square, torch.tensor([1.0, 3.0]))
    (tensor([[5.],
            [5.]]), tensor([1., 1.]))
    """

    def forward(model: Any, batch: Any) -> tuple[Tensor, Tensor]:
        n = num_rows(batch)
        total, count = _sum_and_count(objective(model, batch), n)
        return (total / n).expand(n)[:, None], (count / n).expand(n)

    return forward


def _sum_and_count(value: Any, n: int) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """What an objective gave: its sum over a batch of n examples and what that is divided by.

    Raises
    ------
    TypeError
        For anything but a number as a tensor, or a pair of it and a count.
    """
    total, count = value if isinstance(value, tuple) and len(value) == 2 else (value, None)
    if not isinstance(total, Tensor) or total.numel() != 1 or not total.is_floating_point():
        came = tuple(total.shape) if isinstance(total, Tensor) else shown(value)
        raise TypeError(
            f"objective gave {came}; it must give one number as a floating tensor, the mean over "
            "the batch's examples, or a pair (sum, count)"
        )
    total = total.reshape(())
    if count is None:
        return total * n, total.new_full((), n)
    return total, torch.as_tensor(count).detach().to(total).reshape(())
