"""The tangent kernel K = J Jᵀ on logits."""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from landscope.operators.linear_operator import LinearOperator
from landscope.operators.logit_jacobian import LogitJacobian
from landscope.problem import Problem
from landscope.products import Explanation, ProductMethod


class TangentKernel(LinearOperator):
    """K = J Jᵀ, (N·C) × (N·C): inner products of all logit gradients.

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

    Examples
    --------
    >>> import torch, landscope as ls
    >>> problem = ls.Problem(torch.nn.Linear(2, 2, bias=False), (torch.eye(2), torch.arange(2)))
    >>> ls.TangentKernel(problem).to_dense().numpy()
    array([[1., 0., 0., 0.],
           [0., 1., 0., 0.],
           [0., 0., 1., 0.],
           [0., 0., 0., 1.]], dtype=float32)
    """

    symmetric = True
    psd = True

    def __init__(
        self,
        problem: Problem,
        *,
        method: ProductMethod | str = ProductMethod.AUTO,
        memory_limit: int | None = None,
        self_check: bool = True,
    ) -> None:
        self._jacobian = LogitJacobian(
            problem, method=method, memory_limit=memory_limit, self_check=self_check
        )
        super().__init__((self._jacobian.shape[0],) * 2, problem.dtype, problem.device)
        self.ranks, self.parts = problem.ranks, (self._jacobian,)

    def matvec(self, v: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
        """J (Jᵀ v)."""
        return self._jacobian.matvec(self._jacobian.rmatvec(v))

    @property
    def method(self) -> ProductMethod:
        """How J v is computed at present; what was asked for before the first product."""
        return self._jacobian.method

    def explain(self) -> Explanation:
        """How J v is computed, why so, and what both factors cost; times one product with each.

        Returns
        -------
        Explanation
            As of `LogitJacobian.explain`, with the gradients and the bytes of J v and Jᵀ u.
        """
        factor, transpose = self._jacobian.explain(), self._jacobian.explain_transpose()
        return replace(
            factor,
            gradients=factor.gradients + transpose.gradients,
            kept_bytes=factor.kept_bytes + transpose.kept_bytes,
            side_by_side=False,
        )
