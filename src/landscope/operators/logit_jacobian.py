"""The logit Jacobian J, whose rows are the logit gradients J_k^μ."""

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.operators.linear_operator import LinearOperator
from landscope.problem import Problem
from landscope.products import JacobianVector, Repeated, jacobian_rows


class LogitJacobian(LinearOperator):
    """J with rows J_k^μ = ∂z_k^μ/∂W, ordered by example, then logit: (N·C) × D.

    Parameters
    ----------
    problem : Problem
        The model, loss and data at one point of weight space.
    memory_limit : int, optional
        Bytes that linearised batches may take; by default 40 % of the free memory.
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
        self, problem: Problem, *, memory_limit: int | None = None, self_check: bool = True
    ) -> None:
        shape = (problem.num_examples * problem.num_classes, problem.num_params)
        super().__init__(shape, problem.dtype, problem.device)
        self.problem = problem
        w = problem.parameters_vector()
        self._derivatives: Repeated[JacobianVector] = Repeated(
            [JacobianVector(problem.batch_logits(batch), w) for batch in problem.batches],
            w,
            memory_limit,
            self_check,
        )

    def matvec(self, v: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
        """J v: how every logit moves along v."""
        return torch.cat([J.forward(v).reshape(-1) for J in self._derivatives])

    def rmatvec(self, u: Float[Tensor, " m"]) -> Float[Tensor, " n"]:
        """Jᵀ u = Σ_μ Σ_k u_k^μ J_k^μ."""
        by_example = u.view(-1, self.problem.num_classes)
        parts = by_example.split([len(batch.targets) for batch in self.problem.batches])
        return self.problem.sum_over_batches(
            J.adjoint(part) for J, part in zip(self._derivatives, parts, strict=True)
        )

    def to_dense(self) -> Float[Tensor, "m n"]:
        """Every logit gradient, computed row by row rather than column by column."""
        return torch.cat([rows.flatten(0, 1) for rows in jacobian_rows(self.problem)])
