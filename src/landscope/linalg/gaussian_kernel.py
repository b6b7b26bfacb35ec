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
    """

    width: float

    def __call__(self, x: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        """Density exp(−x²/2σ²)/√(2πσ²)."""
        return torch.exp(-0.5 * (x / self.width) ** 2) / (self.width * math.sqrt(2 * math.pi))

    def cumulative(self, x: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        """Mass left of x."""
        return torch.special.ndtr(x / self.width)

    def __str__(self) -> str:
        return f"Gaussian kernel, σ = {self.width:.3g}"
