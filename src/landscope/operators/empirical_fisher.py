"""The empirical Fisher matrix F = (1/N) Σ_μ g^μ g^μᵀ."""

from jaxtyping import Float, Shaped
from torch import Tensor

from landscope.operators.gauss_newton import GaussNewton
from landscope.problem import Loss


class EmpiricalFisher(GaussNewton):
    """The uncentred second moment of the gradients g^μ of single loss terms.

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
    With r^μ the gradient of term μ in its logits, g^μ = (J^μ)ᵀ r^μ, so that F has the form of G
    with r^μ r^μᵀ in place of M^μ, and no gradient of a single term is ever built.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> problem = ls.Problem(torch.nn.Linear(2, 2), (torch.eye(2), torch.tensor([0, 1])))
    >>> ls.EmpiricalFisher(problem)
    EmpiricalFisher(6 × 6, symmetric, psd)
    """

    psd = True

    kind = "empirical_fisher"

    @staticmethod
    def logit_map(
        loss: Loss,
        logits: Float[Tensor, "T C"],
        targets: Shaped[Tensor, "T ..."],
        vectors: Float[Tensor, "T C"],
    ) -> Float[Tensor, "T C"]:
        """r^μ (r^μ · v^μ) for each vector."""
        r = loss.gradient(logits, targets)
        return r * (r * vectors).sum(1, keepdim=True)
