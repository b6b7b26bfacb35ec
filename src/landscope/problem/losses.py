"""Losses as functions of the logits: value, gradient and Hessian of each loss term.

A loss knows nothing of the network. All its methods take flat logits, one row per loss term.
"""

import copy
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from landscope.arguments import real, shown


@runtime_checkable
class Loss(Protocol):
    """What `Problem` needs of a loss: each term, and its derivatives in the logits.

    Any object with these three methods is accepted as ``loss=``. Optional members: ``normalizer``
    (what the sum over terms is divided by; the number of terms by default), ``ignore_index``
    (targets that are no term) and ``hessian_factor`` (S with M = S Sᵀ).
    """

    def terms(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of each term, shape (T,), from logits (T, C) and targets (T, ...)."""

    def gradient(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Gradient of each term in its logits, shape (T, C)."""

    def hessian_vector_product(self, logits: Tensor, targets: Tensor, vectors: Tensor) -> Tensor:
        """M^μ v^μ for each term μ, shape (T, C), with M^μ the Hessian in the logits."""


class CrossEntropy:
    """Softmax cross-entropy −Σ_c q_c log p_c, with q the target distribution of the term.

    Parameters
    ----------
    ignore_index : int
        Targets with this value are no loss term.
    weight : Tensor, shape (C,), optional
        Weight of each class.
    label_smoothing : float
        Mass ε spread evenly over the classes.
    weighted_mean : bool
        Divide by the sum of the terms' class weights, as ``nn.CrossEntropyLoss`` with
        ``reduction="mean"`` does, rather than by the number of terms.

    Raises
    ------
    ValueError
        For a weight that is negative or not finite, or smoothing outside [0, 1].

    Notes
    -----
    With s = Σ_c q_c (1 without class weights) the gradient is s p − q and the Hessian
    M = s (diag p − p pᵀ) = S Sᵀ with S = √s diag(√p) Q, where the C−1 columns of Q span the
    complement of the unit vector √p: those of the Householder reflection that maps it to an axis.

    Examples
    --------
    >>> import torch
    >>> loss = CrossEntropy()
    >>> loss.gradient(torch.zeros(1, 2), torch.tensor([0]))
    tensor([[-0.5000,  0.5000]])
    """

    def __init__(
        self,
        ignore_index: int = -100,
        weight: Float[Tensor, " C"] | None = None,
        label_smoothing: float = 0.0,
        weighted_mean: bool = True,
    ) -> None:
        self.ignore_index = ignore_index
        self.weight = _checked_weight(weight)
        self.label_smoothing = real("label_smoothing of loss", label_smoothing, "[0, 1]")
        self.weighted_mean = weighted_mean and weight is not None

    @classmethod
    def from_module(cls, criterion: nn.CrossEntropyLoss) -> "CrossEntropy":
        """Read an ``nn.CrossEntropyLoss``: its ignore_index, weights, smoothing and reduction."""
        return cls(
            ignore_index=criterion.ignore_index,
            weight=None if criterion.weight is None else criterion.weight.detach().clone(),
            label_smoothing=criterion.label_smoothing,
            weighted_mean=criterion.reduction == "mean",
        )

    def to(self, device: torch.device, dtype: torch.dtype) -> "CrossEntropy":
        """The same loss with its class weights on the device and in the dtype of the logits."""
        moved = copy.copy(self)
        moved.weight = None if self.weight is None else self.weight.to(device, dtype)
        return moved

    def terms(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, " T"]:
        """Loss of each term."""
        return F.cross_entropy(
            logits,
            targets,
            weight=self.weight,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )

    def gradient(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, "T C"]:
        """s p − q for each term."""
        q = self._target_distribution(logits, targets)
        return q.sum(1, keepdim=True) * logits.softmax(1) - q

    def hessian_vector_product(
        self,
        logits: Float[Tensor, "T C"],
        targets: Shaped[Tensor, "T ..."],
        vectors: Float[Tensor, "T C"],
    ) -> Float[Tensor, "T C"]:
        """s (p ∘ v − p (p·v)) for each term."""
        p = logits.softmax(1)
        centred = vectors - (p * vectors).sum(1, keepdim=True)
        return self._scale(logits, targets) * p * centred

    def hessian_factor(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, "T C r"]:
        """S^μ of full rank r = C−1, with M^μ = S^μ (S^μ)ᵀ."""
        root = logits.softmax(1).sqrt()
        axis = root + torch.eye(1, root.shape[1], dtype=root.dtype, device=root.device)
        Q = torch.eye(root.shape[1], dtype=root.dtype, device=root.device) - (
            axis[:, :, None] * axis[:, None, :] / axis[:, :1, None]
        )
        scale = self._scale(logits, targets).sqrt()
        return (scale * root)[:, :, None] * Q[:, :, 1:]

    def normalizer(self, targets: Shaped[Tensor, "T ..."]) -> float:
        """What the sum over these terms is divided by."""
        if self.weight is None or not self.weighted_mean or targets.is_floating_point():
            return float(len(targets))
        return float(self.weight[targets].sum(dtype=torch.float64))

    def _scale(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, "... 1"]:
        if self.weight is None and not targets.is_floating_point():
            return logits.new_ones(1, 1)
        return self._target_distribution(logits, targets).sum(1, keepdim=True)

    def _target_distribution(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, "T C"]:
        num_classes = logits.shape[1]
        if targets.is_floating_point():
            q = targets.to(logits.dtype)
        else:
            q = _one_hot(targets, logits)
        q = (1 - self.label_smoothing) * q + self.label_smoothing / num_classes
        return q if self.weight is None else q * self.weight


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


class MeanSquaredError:
    """½‖z − y‖² for each example; class-index targets are read as one-hot vectors.

    Examples
    --------
    >>> import torch
    >>> MeanSquaredError().terms(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]]))
    tensor([12.5000])
    """

    def terms(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, " T"]:
        """½‖z − y‖² of each term."""
        return 0.5 * self.gradient(logits, targets).square().sum(1)

    def gradient(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, "T C"]:
        """z − y for each term."""
        if targets.ndim == 1 and not targets.is_floating_point():
            targets = _one_hot(targets, logits)
        return logits - targets.to(logits.dtype).reshape(logits.shape)

    def hessian_vector_product(
        self,
        logits: Float[Tensor, "T C"],
        targets: Shaped[Tensor, "T ..."],
        vectors: Float[Tensor, "T C"],
    ) -> Float[Tensor, "T C"]:
        """v itself: the Hessian in the logits is the identity."""
        return vectors

    def hessian_factor(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, "T C C"]:
        """The identity for each term."""
        return torch.eye(logits.shape[1], dtype=logits.dtype, device=logits.device).expand(
            len(logits), -1, -1
        )


def _one_hot(targets: Int[Tensor, " T"], logits: Float[Tensor, "T C"]) -> Float[Tensor, "T C"]:
    """Rows of the identity; unlike torch's own, without a look at the numbers."""
    return torch.zeros_like(logits).scatter(1, targets[:, None], 1.0)


def hessian_factor(
    loss: Loss, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
) -> Float[Tensor, "T C r"]:
    """S^μ with M^μ = S^μ (S^μ)ᵀ for each term: the loss's own, or from M's eigenvectors.

    Raises
    ------
    ValueError
        If M^μ has a negative eigenvalue: then G has no real square root.
    """
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


def normalizer(loss: Loss, targets: Shaped[Tensor, "T ..."]) -> float:
    """What the sum of the loss over these terms is divided by: by default their number."""
    return loss.normalizer(targets) if hasattr(loss, "normalizer") else float(len(targets))


def resolve_loss(loss: str | nn.CrossEntropyLoss | Loss) -> Loss:
    """The loss object behind the ``loss`` argument of `Problem`.

    Raises
    ------
    ValueError
        For an unknown name.
    TypeError
        For an object that lacks a method of `Loss`.
    """
    if isinstance(loss, nn.CrossEntropyLoss):
        return CrossEntropy.from_module(loss)
    named = {"cross_entropy": CrossEntropy, "mse": MeanSquaredError}
    if isinstance(loss, str):
        if loss not in named:
            raise ValueError(f"loss is {loss!r}; accepted names are {sorted(named)}")
        return named[loss]()
    if not isinstance(loss, Loss):
        raise TypeError(
            f"loss is a {type(loss).__name__}; accepted are 'cross_entropy', 'mse', an "
            "nn.CrossEntropyLoss, or an object with the methods terms, gradient and "
            "hessian_vector_product"
        )
    return loss
