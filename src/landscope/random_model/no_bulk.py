"""What is left of the bulk where the outliers take all dimensions."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64


@dataclass(frozen=True)
class NoBulk:
    """The limit of `IsotropicBulk` for no dimension beside the outliers'.

    There is no eigenvalue in it, and residuals shift every outlier by the same amount,
    g(z) = −1/(z − shift).

    Parameters
    ----------
    shift : float
        (σ_E²/(ND)) Σ_i m_i, where the bulk would be.

    Examples
    --------
    >>> NoBulk(0.5).scaled_resolvent(1.0)
    (-2.0, -2.0)
    """

    shift: float
    airy_scale: float = 0.0
    atom_at_zero: float = 0.0

    @property
    def edge(self) -> float:
        """The shift, where outliers begin."""
        return self.shift

    @property
    def largest_eigenvalue(self) -> float:
        """The shift."""
        return self.shift

    def scaled_resolvent(self, z: float) -> tuple[float, float]:
        """The transform g < 0 and d ln(−g)/d ln z."""
        distance = max(z - self.shift, np.finfo(float).eps * z)
        return -1 / distance, -z / distance

    def density(self, x: Float64[np.ndarray, " x"]) -> Float64[np.ndarray, " x"]:
        """Zero."""
        return np.zeros_like(x)

    def share_below(self, x: Float64[np.ndarray, " x"]) -> Float64[np.ndarray, " x"]:
        """0 left of the shift, 1 right of it."""
        return np.where(x < self.shift, 0.0, 1.0)
