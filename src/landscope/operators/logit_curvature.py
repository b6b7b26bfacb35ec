"""The H-term R = (1/N) Σ_μ Σ_k (p_k^μ − y_k^μ) ∂²z_k^μ/∂W²."""

import torch

from landscope.operators.curvature_operator import CurvatureOperator
from landscope.problem import Batch, Problem
from landscope.products import HessianVector


class LogitCurvature(CurvatureOperator):
    """The H-term of the Hessian: the curvature of the logits, weighted by the residuals.

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

    def derivative(self, problem: Problem, batch: Batch) -> HessianVector:
        """The Hessian of Σ_μ r^μ·z^μ with the residuals r^μ held fixed."""
        targets = batch.targets.to(problem.device)
        with torch.no_grad():
            logits = problem.batch_logits(batch)(problem.weights)
            residuals = problem.loss_terms.gradient(logits, targets)
        return HessianVector(
            problem, batch, "logits", lambda z, residuals: (residuals * z).sum(), [residuals]
        )
