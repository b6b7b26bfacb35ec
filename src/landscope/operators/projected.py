"""The projection PᵀAP of an operator onto the columns of a basis."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.operators.linear_operator import LinearOperator

_ENTRIES_AT_ONCE = 2**24
_COLUMNS_AT_ONCE = 16


class Projected(LinearOperator):
    """PᵀAP: the operator as it is seen inside an affine hyperplane W₀ + Pθ.

    Parameters
    ----------
    operator : symmetric operator, D × D
        What is projected.
    basis : Tensor of shape (D, d), or any object with ``@``, ``.T`` and ``.shape``
        P.

    Raises
    ------
    ValueError
        When the basis does not have D rows.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> problem = ls.Problem(torch.nn.Linear(2, 2, bias=False), (torch.eye(2), torch.arange(2)))
    >>> basis = torch.linalg.qr(torch.ones(4, 1)).Q
    >>> ls.Projected(ls.Hessian(problem), basis).shape
    (1, 1)
    """

    def __init__(self, operator: Any, basis: Any) -> None:
        if len(basis.shape) != 2 or basis.shape[0] != operator.shape[0]:
            raise ValueError(
                f"basis has shape {tuple(basis.shape)}; it must be ({operator.shape[0]}, d)"
            )
        if isinstance(basis, Tensor):
            basis = basis.detach().to(operator.device, operator.dtype)
        super().__init__((basis.shape[1],) * 2, operator.dtype, operator.device)
        self.operator, self.parts = operator, (operator,)
        self.ranks = getattr(operator, "ranks", None)
        self.basis = basis
        self.symmetric = getattr(operator, "symmetric", False)
        self.psd = getattr(operator, "psd", False)

    def matmat(self, V: Float[Tensor, "n k"]) -> Float[Tensor, "m k"]:
        """Pᵀ A P V, some columns at a time: each is a vector of weight space on the way."""
        columns = max(1, min(_COLUMNS_AT_ONCE, _ENTRIES_AT_ONCE // self.operator.shape[0]))
        blocks = [
            self.basis.T @ (self.operator @ (self.basis @ block))
            for block in V.split(columns, dim=1)
        ]
        return torch.cat(blocks, dim=1)

    def to_dense(self) -> Float[Tensor, "m n"]:
        """The matrix itself, by d products in blocks."""
        return self.matmat(torch.eye(self.shape[0], dtype=self.dtype, device=self.device))

    def matvec(self, v: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
        """Pᵀ A P v."""
        return self.basis.T @ (self.operator @ (self.basis @ v))

    def rmatvec(self, u: Float[Tensor, " m"]) -> Float[Tensor, " n"]:
        """Pᵀ Aᵀ P u."""
        return self.basis.T @ (self.operator.T @ (self.basis @ u))
