"""S(A + Λ)S: an operator as a diagonal preconditioner sees it."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from landscope.arguments import shown
from landscope.operators.linear_operator import LinearOperator


class Preconditioned(LinearOperator):
    """S(A + Λ)S with diagonal S and Λ: the operator in the weights S⁻¹W.

    Parameters
    ----------
    operator : operator, D × D
        A.
    scale : Tensor of shape (D,)
        The diagonal of S, of either sign; zero takes a weight out.
    ridge : Tensor of shape (D,), optional
        The diagonal of Λ, such as the weight decay of each weight; none by default.

    Raises
    ------
    ValueError
        When the operator is not square, or ``scale`` or ``ridge`` does not fit it or is not finite.

    Notes
    -----
    With S = P^(−1/2) the eigenvalues are those of P⁻¹(A + Λ), which is not symmetric: an optimiser
    that divides each gradient by P moves through the landscape of this matrix.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> A = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
    >>> ls.Preconditioned(A, torch.tensor([1.0, 3.0])) @ torch.tensor([1.0, 0.0])
    tensor([2., 3.])
    """

    def __init__(
        self,
        operator: Any,
        scale: Float[Tensor, " D"],
        ridge: Float[Tensor, " D"] | None = None,
    ) -> None:
        rows, columns = operator.shape
        if rows != columns:
            raise ValueError(f"operator has shape {(rows, columns)}; it must be square")
        super().__init__((rows, columns), operator.dtype, operator.device)
        self.operator, self.parts = operator, (operator,)
        self.ranks = getattr(operator, "ranks", None)
        self.scale = self._diagonal("scale", scale)
        self.ridge = None if ridge is None else self._diagonal("ridge", ridge)
        self.symmetric = getattr(operator, "symmetric", False)
        self.psd = getattr(operator, "psd", False) and (ridge is None or bool((ridge >= 0).all()))

    def matvec(self, v: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
        """S(A + Λ)S v."""
        return self._around(self.operator, v)

    def matmat(self, V: Float[Tensor, "n k"]) -> Float[Tensor, "m k"]:
        """S(A + Λ)S V, as one block."""
        return self._around(self.operator, V)

    def rmatvec(self, u: Float[Tensor, " m"]) -> Float[Tensor, " n"]:
        """S(Aᵀ + Λ)S u."""
        return self._around(self.operator.T, u)

    def rmatmat(self, U: Float[Tensor, "m k"]) -> Float[Tensor, "n k"]:
        """S(Aᵀ + Λ)S U, as one block."""
        return self._around(self.operator.T, U)

    def _around(self, A: Any, X: Float[Tensor, "n *k"]) -> Float[Tensor, "n *k"]:
        along = (-1, *[1] * (X.ndim - 1))
        scaled = self.scale.view(along) * X
        product = A @ scaled
        if self.ridge is not None:
            product = product + self.ridge.view(along) * scaled
        return self.scale.view(along) * product

    def _diagonal(self, argument: str, diagonal: Tensor) -> Float[Tensor, " D"]:
        if not isinstance(diagonal, Tensor) or diagonal.shape != self.shape[:1]:
            raise ValueError(
                f"{argument} is {shown(diagonal)}; it must be a tensor of shape {self.shape[:1]}"
            )
        if not bool(diagonal.isfinite().all()):
            raise ValueError(f"{argument} has NaN or infinity; it must be finite")
        return diagonal.detach().to(self.device, self.dtype)
