"""Negative log-likelihood of classes whose log-probabilities are the outputs themselves."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from landscope.problem.losses.class_targets import ClassTargets
from landscope.problem.losses.targets import one_hot, refuse_no_labels


class NegativeLogLikelihood(ClassTargets):
    """−w_y z_y, for outputs z that are log-probabilities, as ``nn.NLLLoss`` takes them.

    Parameters
    ----------
    ignore_index, weight, weighted_mean
        As of `CrossEntropy`.

    Notes
    -----
    It is linear in its outputs: G vanishes, and R is all of the Hessian. The split of the
    cross-entropy is that of a model without its last log-softmax.

    Examples
    --------
    >>> import torch
    >>> NegativeLogLikelihood().gradient(torch.zeros(1, 2), torch.tensor([0]))
    tensor([[-1., -0.]])
    """

    @classmethod
    def from_module(cls, criterion: nn.NLLLoss) -> "NegativeLogLikelihood":
        """Read an ``nn.NLLLoss``: its ignore_index, weights and reduction."""
        return cls(
            ignore_index=criterion.ignore_index,
            weight=None if criterion.weight is None else criterion.weight.detach().clone(),
            weighted_mean=criterion.reduction == "mean",
        )

    def terms(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, " T"]:
        """−w_y z_y of each term."""
        return F.nll_loss(logits, targets, self.weight, reduction="none")

    def gradient(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, "T C"]:
        """−w_y in the place of the class, 0 elsewhere."""
        chosen = one_hot(targets, logits)
        return -chosen if self.weight is None else -chosen * self.weight

    def hessian_vector_product(
        self,
        logits: Float[Tensor, "T C"],
        targets: Shaped[Tensor, "T ..."],
        vectors: Float[Tensor, "T C"],
    ) -> Float[Tensor, "T C"]:
        """Zero."""
        return torch.zeros_like(vectors)

    def hessian_factor(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, "T C 1"]:
        """Zero."""
        return torch.zeros_like(logits[:, :, None])

    def check_targets(self, targets: Shaped[Tensor, "T ..."], num_classes: int, index: int) -> None:
        """Refuse also what are no class indices."""
        refuse_no_labels(targets, index, "'nll'")
        super().check_targets(targets, num_classes, index)
