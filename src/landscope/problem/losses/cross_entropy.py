"""Softmax cross-entropy: value, gradient and Hessian of each loss term in its logits."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from landscope.arguments import real
from landscope.problem.losses.class_targets import ClassTargets
from landscope.problem.losses.targets import one_hot, refuse_no_probabilities


class CrossEntropy(ClassTargets):
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
        super().__init__(ignore_index, weight, weighted_mean)
        self.label_smoothing = real("label_smoothing of loss", label_smoothing, "[0, 1]")

    @classmethod
    def from_module(cls, criterion: nn.CrossEntropyLoss) -> "CrossEntropy":
        """Read an ``nn.CrossEntropyLoss``: its ignore_index, weights, smoothing and reduction."""
        return cls(
            ignore_index=criterion.ignore_index,
            weight=None if criterion.weight is None else criterion.weight.detach().clone(),
            label_smoothing=criterion.label_smoothing,
            weighted_mean=criterion.reduction == "mean",
        )

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

    def check_targets(self, targets: Shaped[Tensor, "T ..."], num_classes: int, index: int) -> None:
        """Refuse also what are neither class indices nor probabilities."""
        super().check_targets(targets, num_classes, index)
        refuse_no_probabilities(targets, num_classes, index)

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
            q = one_hot(targets, logits)
        q = (1 - self.label_smoothing) * q + self.label_smoothing / num_classes
        return q if self.weight is None else q * self.weight
