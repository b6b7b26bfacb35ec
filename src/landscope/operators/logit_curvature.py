"""The H-term R = (1/N) Σ_μ Σ_k (p_k^μ − y_k^μ) ∂²z_k^μ/∂W²."""

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.operators.curvature_operator import CurvatureOperator
from landscope.problem import Batch
from landscope.products import HessianVector


class LogitCurvature(CurvatureOperator[HessianVector]):
    """The H-term of the Hessian: the curvature of the logits, weighted by the residuals.

    Parameters
    ----------
    problem : Problem
        The model, loss and data at one point of weight space.
    memory_limit : int, optional
        Bytes that linearised batches may take; by default 40 % of the free memory.
    self_check : bool
        Compare the fast product with double backward before the first use.

    Notes
    -----
    R = H − G is what the paper's model neglects; its weight is measured by `hessian_split`.
    Fort & Ganguli 2019, arXiv:1910.05929. R carries no weight decay.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> linear = torch.nn.Linear(2, 2, bias=False)
    >>> problem = ls.Problem(linear, (torch.eye(2), torch.tensor([0, 1])))
    >>> float((ls.LogitCurvature(problem) @ torch.ones(4)).norm())
    0.0
    """

    def derivative(self, batch: Batch) -> HessianVector:
        """The Hessian of Σ_μ r^μ·z^μ with the residuals r^μ held fixed."""
        w = self.problem.parameters_vector()
        logits = self.problem.batch_logits(batch)
        with torch.no_grad():
            targets = batch.targets.to(self.device)
            residuals = self.problem.loss_terms.gradient(logits(w), targets)
        return HessianVector(lambda w: (residuals * logits(w)).sum(), w)

    def batch_product(
        self, batch: Batch, derivative: HessianVector, v: Float[Tensor, " D"]
    ) -> Float[Tensor, " D"]:
        """Σ_μ Σ_k r_k^μ ∂²z_k^μ/∂W² v."""
        return derivative(v)
