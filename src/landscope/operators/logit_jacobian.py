"""The logit Jacobian J, whose rows are the logit gradients J_k^μ."""

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.operators.linear_operator import LinearOperator
from landscope.problem import Problem, problem_with_logits
from landscope.products import (
    BatchSum,
    Explanation,
    JacobianAdjoint,
    JacobianForward,
    ProductMethod,
    jacobian_rows,
)


class LogitJacobian(LinearOperator):
    """J with rows J_k^μ = ∂z_k^μ/∂W, ordered by example, then logit: (N·C) × D.

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
    >>> problem = ls.Problem(torch.nn.Linear(2, 3), (torch.eye(2), torch.tensor([0, 1])))
    >>> J = ls.LogitJacobian(problem)
    >>> J
    LogitJacobian(6 × 9)
    >>> (J.T @ torch.ones(6)).numpy()
    array([1., 1., 1., 1., 1., 1., 2., 2., 2.], dtype=float32)
    """

    def __init__(
        self,
        problem: Problem,
        *,
        method: ProductMethod | str = ProductMethod.AUTO,
        memory_limit: int | None = None,
        self_check: bool = True,
    ) -> None:
        problem_with_logits(problem, type(self).__name__)
        shape = (problem.num_examples * problem.num_classes, problem.num_params)
        super().__init__(shape, problem.dtype, problem.device)
        self.problem = problem
        self.ranks = problem.ranks
        with problem.together():
            self._forward, self._adjoint = (
                BatchSum(problem.local, derivative, method, memory_limit, self_check)
                for derivative in (JacobianForward, JacobianAdjoint)
            )

    def expect(self, num_products: int) -> None:
        """Hear that so many products are to come, from either side."""
        for one_side in (self._forward, self._adjoint):
            one_side.expect(num_products)

    def matvec(self, v: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
        """J v: how every logit moves along v."""
        return self.problem.rows_over_ranks(lambda: torch.cat(list(self._forward.products(v))))

    def matmat(self, V: Float[Tensor, "n k"]) -> Float[Tensor, "m k"]:
        """J V for a block of vectors, at once."""
        return self.problem.rows_over_ranks(
            lambda: torch.cat(list(self._forward.block_products(V)))
        )

    def rmatvec(self, u: Float[Tensor, " m"]) -> Float[Tensor, " n"]:
        """Jᵀ u = Σ_μ Σ_k u_k^μ J_k^μ."""
        return self.problem.over_ranks(
            lambda: self._share_of_transpose(u), like=u.new_empty(self.shape[1])
        )

    def _share_of_transpose(self, u: Float[Tensor, " m"]) -> Float[Tensor, " n"]:
        """What this process's data have in Jᵀ u."""
        by_term = u.view(-1, self.problem.num_classes)[self.problem.own_terms]
        parts = [part.flatten() for part in by_term.split(self._adjoint.term_counts)]
        return self.problem.sum_over_batches(
            self._adjoint.products_of(parts), self._adjoint.batch_of_piece
        )

    @property
    def method(self) -> ProductMethod:
        """How J v is computed at present; what was asked for before the first product."""
        return self._forward.method

    def explain(self) -> Explanation:
        """How J v is computed, why so, and what it costs; times one product.

        Returns
        -------
        Explanation
            ``.method .reason .gradients .kept_bytes .num_pieces .num_kept .side_by_side``; as a
            string, one sentence.
        """
        return self._forward.explain(lambda: self.matvec(self.problem.parameters_vector()))

    def explain_transpose(self) -> Explanation:
        """How Jᵀ u is computed, why so, and what it costs; times one product.

        It has a method of its own: it is a first derivative in reverse mode, right where forward
        mode is not.
        """
        u = torch.ones(self.shape[0], dtype=self.dtype, device=self.device)
        return self._adjoint.explain(lambda: self.rmatvec(u))

    def to_dense(self) -> Float[Tensor, "m n"]:
        """Every logit gradient, computed row by row rather than column by column."""
        p = self.problem
        return p.rows_over_ranks(lambda: torch.cat([J.flatten(0, 1) for J in jacobian_rows(p)]))
