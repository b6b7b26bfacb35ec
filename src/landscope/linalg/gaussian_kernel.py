"""The Gaussian that a spectrum is seen through."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor


@dataclass(frozen=True)
class GaussianKernel:
    """The Gaussian that each eigenvalue is smoothed by.

    Attributes
    ----------
    width : float
        Its standard deviation σ, in the unit of the eigenvalues.
    reflected : bool
        Whether what it spreads below 0, where no eigenvalue lies, is reflected at 0.
    """

    width: float
    reflected: bool = False

    def __call__(self, x: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        """Density exp(−x²/2σ²)/√(2πσ²)."""
        return torch.exp(-0.5 * (x / self.width) ** 2) / (self.width * math.sqrt(2 * math.pi))

    def smooth(
        self, x: Float64[Tensor, " m"], eigenvalues: Float64[Tensor, " n"]
    ) -> Float64[Tensor, "m n"]:
        """Density at points x of each eigenvalue, of mass 1."""
        density = self(x[:, None] - eigenvalues)
        if not self.reflected:
            return density
        return (density + self(x[:, None] + eigenvalues)) * (x[:, None] >= 0)

    def __str__(self) -> str:
        reflected = ", reflected at 0" if self.reflected else ""
        return f"Gaussian kernel, σ = {self.width:.3g}{reflected}"
