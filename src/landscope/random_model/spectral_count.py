r"""How many eigenvalues lie above a place, outliers and all bands of the bulk together.

With Q = (bΣ − z)⁻¹ and the centroids' part cᵀBc the mean resolvent is (bΣ + cᵀBc − z)⁻¹, −∂Φ/∂z is
its trace for

.. math:: Φ(z) = \log\det(bΣ - z) + \sum_i \log(1 + e m_i/N) - be + \log\det(1 + B\,cQc^⊤),

stationary in e and b, and the number of eigenvalues above x is q + Im Φ(x + i0)/π. Above the real
axis bΣ − z and B have negative imaginary parts, 1 + em/N, B⁻¹ and cQcᵀ positive ones, so that each
logarithm is a sum of principal ones.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg
from jaxtyping import Float64
from scipy.optimize import brentq

from landscope.random_model.loaded_curvature import LoadedCurvature

if TYPE_CHECKING:
    from landscope.random_model.anisotropic import AnisotropicResiduals

SMOOTHING, PRECISION = 1e-8, 1e-4
"""Height above the real axis, and precision of places, relative to x."""


@dataclass(frozen=True)
class SpectralCount:
    """The predicted number of eigenvalues above any place.

    Parameters
    ----------
    curvature : LoadedCurvature
        Of the examples.
    residuals : AnisotropicResiduals
        Of the logit gradients, around their centroids.
    """

    curvature: LoadedCurvature
    residuals: "AnisotropicResiduals"

    def above(self, x: float) -> float:
        """Mean number of eigenvalues above x > 0."""
        bulk = self.residuals.bulk
        s, N = bulk.covariance_spectrum, bulk.num_examples
        (e,), (b,) = bulk.complex_solution(np.array([x]), np.array([SMOOTHING * x]))
        z = x * (1 + 1j * SMOOTHING)
        count = np.pi * bulk.count_above(z, e, b)
        B = self._on_differences(self.curvature.B(e / N))
        Q = self._on_differences(self.residuals.weighted_gram(1 / (b * s - z), -1 / z))
        count += np.angle(np.linalg.eigvals(B)).sum()
        count += np.angle(np.linalg.eigvals(np.linalg.inv(B) + Q)).sum()
        return float(count / np.pi)

    def _on_differences(self, matrix: np.ndarray) -> np.ndarray:
        """The matrix on logits that sum to zero in each group, where B has an inverse."""
        C = self.curvature.probabilities.shape[1]
        basis = scipy.linalg.helmert(C).T
        whole = np.kron(np.eye(len(matrix) // C), basis)
        return whole.T @ matrix @ whole

    def locations(self, k: int) -> Float64[np.ndarray, " k"]:
        """The places above which there are ½, 3/2, … k − ½ eigenvalues."""
        high = self.residuals.edge
        while self.above(high) > 0.5:
            high *= 1.5
        found = np.zeros(k)
        for j in range(k):
            low = high
            while self.above(low) < j + 0.5 and low > 1e-9 * self.residuals.edge:
                low *= 0.8
            if low <= 1e-9 * self.residuals.edge:
                break  # all others are zero
            found[j] = high = (
                brentq(lambda x, j=j: self.above(x) - j - 0.5, low, high, rtol=PRECISION)
                if low < high
                else low
            )
        return found
