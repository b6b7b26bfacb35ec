"""The generalised Gauss–Newton matrix G = (1/N) Σ_μ (J^μ)ᵀ M^μ J^μ: the G-term."""

from functools import partial

from jaxtyping import Float, Shaped
from torch import Tensor

from landscope.operators.curvature_operator import CurvatureOperator
from landscope.problem import Batch, Loss, Problem
from landscope.problem.linear_head import large_head
from landscope.problem.losses import is_convex
from landscope.products import GaussNewtonVector, LargeOutputVector
from landscope.products.batch_derivative import BatchDerivative


class GaussNewton(CurvatureOperator):
    """The G-term of the Hessian: the loss's own curvature, seen through the logits.

    Parameters
    ----------
    problem : Problem
        The model, loss and data at one point of weight space.
    method : ProductMethod or str
        How products are computed: "auto" or one of the ways that `ProductMethod` compares.
    memory_limit : int, optional
        Bytes that products may take beside the model and the data; by default 40 % of the memory
        that is free.
    self_check : bool
        Compare the forward-mode product with a reverse-mode one before the first use.

    Notes
    -----
    G = (1/N) Σ_μ (J^μ)ᵀ M^μ J^μ with M^μ the Hessian of the loss in the logits, for cross-entropy
    diag(p^μ) − p^μ p^μᵀ, so that the rank is at most N(C−1). G carries no weight decay.
    Fort & Ganguli 2019, arXiv:1910.05929.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> model = torch.nn.Linear(2, 2, bias=False)
    >>> problem = ls.Problem(model, (torch.eye(2), torch.tensor([0, 1])))
    >>> ls.GaussNewton(problem)
    GaussNewton(4 × 4, symmetric, psd)
    """

    @property
    def psd(self) -> bool:  # type: ignore[override]
        """Whether the loss says that it is convex in the logits."""
        return is_convex(self.problem.loss_terms)

    kind = "gauss_newton"

    def derivative(self, problem: Problem, batch: Batch) -> BatchDerivative:
        """Jᵀ M J of the batch."""
        logit_map = partial(self.logit_map, problem.loss_terms)
        head = large_head(problem)
        if head is not None:
            return LargeOutputVector(problem, batch, self.kind, logit_map, head)
        return GaussNewtonVector(problem, batch, self.kind, logit_map)

    @staticmethod
    def logit_map(
        loss: Loss,
        logits: Float[Tensor, "T C"],
        targets: Shaped[Tensor, "T ..."],
        vectors: Float[Tensor, "T C"],
    ) -> Float[Tensor, "T C"]:
        """M^μ times each vector."""
        return loss.hessian_vector_product(logits, targets, vectors)
