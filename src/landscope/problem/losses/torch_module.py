"""Losses of ``torch.nn`` that take one target for each output, as torch computes them."""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from landscope.problem.losses.by_autograd import LossByAutograd
from landscope.problem.losses.targets import refuse_outside, refuse_unpaired

INFINITY = float("inf")


class Kind(NamedTuple):
    """What a loss of ``torch.nn`` is.

    Attributes
    ----------
    targets : callable (module) → (low, high)
        Between which its targets lie.
    predicts : str or None
        See `Loss`.
    """

    targets: Callable[[nn.Module], tuple[float, float]] = lambda module: (-INFINITY, INFINITY)
    predicts: str | None = None


ELEMENTWISE: dict[type[nn.Module], Kind] = {
    nn.L1Loss: Kind(),
    nn.SmoothL1Loss: Kind(),
    nn.HuberLoss: Kind(),
    nn.BCEWithLogitsLoss: Kind(lambda module: (0.0, 1.0), "labels"),
    nn.BCELoss: Kind(lambda module: (0.0, 1.0)),
    nn.MultiLabelSoftMarginLoss: Kind(lambda module: (0.0, 1.0), "labels"),
    nn.SoftMarginLoss: Kind(lambda module: (-1.0, 1.0)),
    nn.KLDivLoss: Kind(lambda module: (-INFINITY if module.log_target else 0.0, INFINITY)),
    nn.PoissonNLLLoss: Kind(lambda module: (0.0, INFINITY)),
}
"""Losses that are a sum of convex functions of one output each: M is diagonal."""


class ElementwiseLoss(LossByAutograd):
    """A loss of ``torch.nn`` that is a sum over outputs: its mean over the outputs of each term.

    Parameters
    ----------
    module : nn.Module
        Of one of the kinds in `ELEMENTWISE`. Its options are read; the mean over all outputs of all
        data is measured, whatever its reduction, and for a divergence with
        ``reduction="batchmean"`` the mean over terms of the sum over outputs.

    Examples
    --------
    >>> import torch
    >>> loss = ElementwiseLoss(nn.HuberLoss())
    >>> loss.gradient(torch.tensor([[0.5, 3.0]]), torch.zeros(1, 2))
    tensor([[0.2500, 0.5000]])
    """

    convex = True

    def __init__(self, module: Any) -> None:
        self.kind = next(base for base in type(module).__mro__ if base in ELEMENTWISE)
        self.name = self.kind.__name__
        self.summed = module.reduction == "batchmean"
        self.module = copy.deepcopy(module)
        self.module.reduction = "none"
        self.predicts = ELEMENTWISE[self.kind].predicts

    def to(self, device: torch.device, dtype: torch.dtype) -> "ElementwiseLoss":
        """The same loss with its weights on the device and in the dtype of the logits."""
        moved = copy.copy(self)
        moved.module = copy.deepcopy(self.module).to(device, dtype)
        return moved

    def terms(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, " T"]:
        """Mean, or sum, over the outputs of each term."""
        values = self.module(logits, targets.to(logits.dtype).reshape(logits.shape))
        if values.ndim == 1:  # a mean over outputs already
            return values
        return values.sum(1) if self.summed else values.mean(1)

    def hessian_factor(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, "T C C"]:
        """The root of the diagonal, which one product with ones gives."""
        diagonal = self.hessian_vector_product(logits, targets, torch.ones_like(logits))
        return torch.diag_embed(diagonal.clamp_min(0).sqrt())

    def check_targets(self, targets: Shaped[Tensor, "T ..."], num_classes: int, index: int) -> None:
        """Refuse targets that are not one for each output, or outside of what they can be.

        Raises
        ------
        ValueError
            Also for weights that are not one for each output.
        """
        low, high = ELEMENTWISE[self.kind].targets(self.module)
        refuse_unpaired(targets, num_classes, index, self.name)
        refuse_outside(targets, low, high, index, self.name)
        for argument in ("weight", "pos_weight"):
            weight = getattr(self.module, argument, None)
            if weight is not None and (weight.ndim > 1 or weight.numel() not in (1, num_classes)):
                raise ValueError(
                    f"loss has {argument} of shape {tuple(weight.shape)} for {num_classes} "
                    "outputs of each term; give one number, or one for each output"
                )

    def read(
        self, outputs: Float[Tensor, "..."], targets: Shaped[Tensor, "..."]
    ) -> "ElementwiseLoss":
        """Itself; refuse a mean over the batch of outputs that have several terms each.

        Raises
        ------
        ValueError
            With the shape of the outputs.
        """
        if self.summed and outputs.ndim > 2:
            raise ValueError(
                f"loss has reduction='batchmean' and outputs have the shape {tuple(outputs.shape)},"
                " several terms for each example; give outputs (N, C), or reduction='mean'"
            )
        return self
