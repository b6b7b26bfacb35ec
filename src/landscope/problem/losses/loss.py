"""What a loss is: a value for each loss term, and its derivatives in the outputs of that term."""

import copy
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn


class RefusedLossError(ValueError):
    """A loss that cannot be measured on these outputs and targets."""


@runtime_checkable
class Loss(Protocol):
    """What `Problem` needs of a loss: each term, and its derivatives in the logits.

    Any object with these three methods is accepted as ``loss=``. Targets (T,) stand for one number
    or one class per term, (T, C) for one number per logit. Optional members:

    - ``normalizer(targets)``: what the sum over these terms is divided by, by default their number;
    - ``ignore_index``: targets that are no term;
    - ``hessian_factor(logits, targets)``: S with M = S Sᵀ;
    - ``total(logits, targets)``: the sum of the terms, where it takes less than each of them;
    - ``to(device, dtype)``: the same loss with its tensors there;
    - ``convex``: whether no M^μ has a negative eigenvalue, so that G is positive semi-definite;
    - ``predicts``: "class" where the softmax of the logits is the probability of each class,
      "labels" where each logit tells yes from no by its sigmoid; otherwise None.
    """

    def terms(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of each term, shape (T,), from logits (T, C) and targets (T, ...)."""

    def gradient(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Gradient of each term in its logits, shape (T, C)."""

    def hessian_vector_product(self, logits: Tensor, targets: Tensor, vectors: Tensor) -> Tensor:
        """M^μ v^μ for each term μ, shape (T, C), with M^μ the Hessian in the logits."""


def moved(loss: Loss, device: torch.device, dtype: torch.dtype) -> Loss:
    """The same loss with its tensors, where it has any, on a device and in a dtype."""
    if isinstance(loss, nn.Module):  # which would move in place
        loss = copy.deepcopy(loss)
    return loss.to(device, dtype) if hasattr(loss, "to") else loss


def total(
    loss: Loss, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
) -> Float[Tensor, ""]:
    """Sum of the loss over these terms."""
    if hasattr(loss, "total"):
        return loss.total(logits, targets)
    return loss.terms(logits, targets).sum()


def normalizer(loss: Loss, targets: Shaped[Tensor, "T ..."]) -> float:
    """What the sum of the loss over these terms is divided by: by default their number."""
    return loss.normalizer(targets) if hasattr(loss, "normalizer") else float(len(targets))


def is_convex(loss: Loss) -> bool:
    """Whether the loss says that it is convex in the logits."""
    return bool(getattr(loss, "convex", False))


def predicts(loss: Loss) -> str | None:
    """What the logits say by themselves: "class", "labels", or nothing that is known."""
    return getattr(loss, "predicts", None)


def name_of(loss: object) -> str:
    """What a loss is called in a sentence: its class, or its own name."""
    return getattr(loss, "name", type(loss).__name__)


def describe_outputs(loss: Loss, number: int) -> str:
    """How many outputs each term has, and what they are."""
    kinds = {"class": "classes", "labels": "labels"}
    return f"{number} {kinds.get(predicts(loss) or '', 'outputs')}"


def hessian_factor(
    loss: Loss, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
) -> Float[Tensor, "T C r"]:
    """S^μ with M^μ = S^μ (S^μ)ᵀ for each term: the loss's own, or from M's eigenvectors.

    Raises
    ------
    ValueError
        If M^μ has a negative eigenvalue: then G has no real square root.
    """
    loss = moved(loss, logits.device, logits.dtype)
    if hasattr(loss, "hessian_factor"):
        return loss.hessian_factor(logits, targets)
    identity = torch.eye(logits.shape[1], dtype=logits.dtype, device=logits.device)
    M = torch.stack(
        [loss.hessian_vector_product(logits, targets, e.expand_as(logits)) for e in identity], dim=2
    )
    values, vectors = torch.linalg.eigh(M)
    if (values[:, 0] < -1e-6 * values.abs().amax(1)).any():
        raise ValueError(
            "loss is not convex in the logits (its Hessian there has a negative eigenvalue), "
            "so the Gauss-Newton matrix has no Gram factor; use GaussNewton with eigsh instead"
        )
    return vectors * values.clamp_min(0).sqrt()[:, None, :]
