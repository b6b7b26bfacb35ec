"""What every basis is: a linear map θ ↦ Pθ from the hyperplane into weight space."""

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.operators import LinearOperator


class Basis(LinearOperator):
    """A D × d map P whose columns are orthonormal, exactly or nearly.

    ``P @ θ`` and ``P.T @ w`` take vectors and blocks; sums over D run in float64 on a CPU.

    Attributes
    ----------
    orthonormality_bound : float
        ‖PᵀP − I‖₂ is at most this: rounding, or for nearly orthogonal columns a bound that fails
        with a probability below 1e-7.
    """

    orthonormality_bound: float

    @abstractmethod
    def matmat(self, V: Float[Tensor, "n k"]) -> Float[Tensor, "m k"]:
        """P Θ, of a block."""

    @abstractmethod
    def rmatmat(self, U: Float[Tensor, "m k"]) -> Float[Tensor, "n k"]:
        """Pᵀ U, of a block."""

    def matvec(self, v: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
        """P θ."""
        return self.matmat(v[:, None])[:, 0]

    def rmatvec(self, u: Float[Tensor, " m"]) -> Float[Tensor, " n"]:
        """Pᵀ w."""
        return self.rmatmat(u[:, None])[:, 0]

    def to_dense(self) -> Float[Tensor, "m n"]:
        """P itself."""
        return self.matmat(torch.eye(self.shape[1], dtype=self.dtype, device=self.device))


def rounding(dtype: torch.dtype) -> float:
    """Bound on ‖PᵀP − I‖₂ where columns are orthonormal up to rounding.

    Examples
    --------
    >>> rounding(torch.float64)
    1e-12
    """
    return 1e-12 if dtype == torch.float64 else 1e-5


def wide(device: torch.device, dtype: torch.dtype) -> torch.dtype:
    """In what long sums run: float64 on a CPU."""
    return torch.float64 if device.type == "cpu" else dtype
