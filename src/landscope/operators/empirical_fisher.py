"""The empirical Fisher matrix F = (1/N) Σ_μ g^μ g^μᵀ."""

from jaxtyping import Float
from torch import Tensor

from landscope.operators.gauss_newton import GaussNewton
from landscope.problem import Batch
from landscope.products import JacobianVector


class EmpiricalFisher(GaussNewton):
    """The uncentred second moment of the gradients g^μ of single loss terms.

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
    With r^μ the gradient of term μ in its logits, g^μ = (J^μ)ᵀ r^μ, so that F has the form of G
    with r^μ r^μᵀ in place of M^μ, and no gradient of a single term is ever built.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> problem = ls.Problem(torch.nn.Linear(2, 2), (torch.eye(2), torch.tensor([0, 1])))
    >>> ls.EmpiricalFisher(problem)
    EmpiricalFisher(6 × 6, symmetric, psd)
    """

    def batch_product(
        self, batch: Batch, derivative: JacobianVector, v: Float[Tensor, " D"]
    ) -> Float[Tensor, " D"]:
        """Σ_μ (J^μ)ᵀ r^μ (r^μ · J^μ v)."""
        targets = batch.targets.to(self.device)
        r = self.problem.loss_terms.gradient(derivative.values(), targets)
        return derivative.adjoint(r * (r * derivative.forward(v)).sum(1, keepdim=True))
