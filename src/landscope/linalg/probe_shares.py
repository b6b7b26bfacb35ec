"""How a share of eigenvalues shows in random probes: the law, and what it says of their number."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy import special

ROUNDING = 1e-13
"""Of a share: what is no further from 0 or 1 is 0 or 1."""


@dataclass(frozen=True)
class ProbeShares:
    r"""n probes, each of which knows some eigenvalues and is uniform on a sphere in d dimensions.

    For k of D eigenvalues, the squared length of a probe's part in their eigenspace is
    :math:`\mathrm{Beta}(k/2, (D − k)/2)`, exactly. Where K of the k are known and only the others
    are left to chance, k is estimated by K + d·Beta. The mean over probes is taken for a Beta law
    with the right mean, variance and ends; for one probe this is the law itself. Of the numbers k,
    those are not rejected for which the mean that was seen lies in no tail (Clopper and Pearson's
    interval, with the Beta law in place of the binomial one).

    Attributes
    ----------
    dims : array of shape (n,)
        d, 0 for a probe to which all eigenvalues are known.
    dim : int
        D.
    """

    dims: Float64[np.ndarray, " n"]
    dim: int

    def variance(
        self, count: Float64[np.ndarray, " p"], known: Float64[np.ndarray, "n p"]
    ) -> Float64[np.ndarray, " p"]:
        """Variance of the mean estimate of k."""
        dims = self.dims[:, None]
        share = ((count - known) / np.maximum(dims, 1)).clip(0, 1)
        return np.sum(dims**2 * share * (1 - share) * 2 / (dims + 2), 0) / len(dims) ** 2

    def below(
        self,
        seen: Float64[np.ndarray, " p"],
        count: Float64[np.ndarray, " p"],
        known: Float64[np.ndarray, "n p"],
    ) -> Float64[np.ndarray, " p"]:
        """Probability that the mean estimate is at most what was seen, if the number is k."""
        share, mean, size = self._law(seen, count, known)
        tail = special.betainc(mean * size, (1 - mean) * size, share)
        return np.where(size > 0, tail, share >= mean - ROUNDING)

    def above(
        self,
        seen: Float64[np.ndarray, " p"],
        count: Float64[np.ndarray, " p"],
        known: Float64[np.ndarray, "n p"],
    ) -> Float64[np.ndarray, " p"]:
        """Probability that the mean estimate is at least what was seen."""
        share, mean, size = self._law(seen, count, known)
        tail = special.betaincc(mean * size, (1 - mean) * size, share)
        return np.where(size > 0, tail, share <= mean + ROUNDING)

    def fewest(
        self,
        seen: Float64[np.ndarray, " p"],
        known: Float64[np.ndarray, "n p"],
        tail: float,
    ) -> Int64[np.ndarray, " p"]:
        """Least k that is not rejected by an estimate of at least what was seen."""
        low, high = self._range(known)
        while np.any(low < high):
            middle = (low + high) // 2
            accepted = self.above(seen, middle.astype(float), known) > tail
            low, high = np.where(accepted, low, middle + 1), np.where(accepted, middle, high)
            low = np.minimum(low, high)
        return low

    def most(
        self,
        seen: Float64[np.ndarray, " p"],
        known: Float64[np.ndarray, "n p"],
        tail: float,
    ) -> Int64[np.ndarray, " p"]:
        """Largest k that is not rejected by an estimate of at most what was seen."""
        low, high = self._range(known)
        while np.any(low < high):
            middle = (low + high + 1) // 2
            accepted = self.below(seen, middle.astype(float), known) > tail
            low, high = np.where(accepted, middle, low), np.where(accepted, high, middle - 1)
            high = np.maximum(low, high)
        return high

    def _range(
        self, known: Float64[np.ndarray, "n p"]
    ) -> tuple[Int64[np.ndarray, " p"], Int64[np.ndarray, " p"]]:
        low = np.ceil(known.max(0)).astype(int)
        return low, np.maximum(low, np.floor((known + self.dims[:, None]).min(0)).astype(int))

    def _law(
        self,
        seen: Float64[np.ndarray, " p"],
        count: Float64[np.ndarray, " p"],
        known: Float64[np.ndarray, "n p"],
    ) -> tuple[Float64[np.ndarray, " p"], ...]:
        """What was seen as a share of its range, and the Beta law's mean and a + b, 0 for none."""
        low, width = known.mean(0), max(self.dims.mean(), 1e-100)
        share = ((seen - low) / width).clip(0, 1)
        mean = ((count - low) / width).clip(0, 1)
        variance = self.variance(count, known) / width**2
        spread = variance > ROUNDING**2
        size = np.where(spread, mean * (1 - mean) / np.where(spread, variance, 1) - 1, 0)
        return share, mean, size
