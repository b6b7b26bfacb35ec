"""The generalised Gauss–Newton matrix G = (1/N) Σ_μ (J^μ)ᵀ M^μ J^μ: the G-term."""

from jaxtyping import Float
from torch import Tensor

from landscope.operators.curvature_operator import CurvatureOperator
from landscope.problem import Batch
from landscope.products import JacobianVector


class GaussNewton(CurvatureOperator[JacobianVector]):
    """The G-term of the Hessian: the loss's own curvature, seen through the logits.

    Parameters
    ----------
    problem : Problem
        The model, loss and data at one point of weight space.
    memory_limit : int, optional
        Bytes that linearised batches may take; by default 40 % of the free memory.
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

    psd = True

    def derivative(self, batch: Batch) -> JacobianVector:
        """The Jacobian of the batch's logits."""
        return JacobianVector(self.problem.batch_logits(batch), self.problem.parameters_vector())

    def batch_product(
        self, batch: Batch, derivative: JacobianVector, v: Float[Tensor, " D"]
    ) -> Float[Tensor, " D"]:
        """Σ_μ (J^μ)ᵀ M^μ J^μ v."""
        targets = batch.targets.to(self.device)
        MJv = self.problem.loss_terms.hessian_vector_product(
            derivative.values(), targets, derivative.forward(v)
        )
        return derivative.adjoint(MJv)
