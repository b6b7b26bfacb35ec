"""What random matrix theory predicts of centroids and residuals of any covariance."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Inexact

from landscope.random_model.anisotropic_bulk import AnisotropicBulk
from landscope.random_model.conditional_theory import ConditionalTheory
from landscope.random_model.outliers import Resolvent
from landscope.random_model.softmax_curvature import curvature_eigenvalues
from landscope.random_model.spectral_count import SpectralCount


@dataclass(frozen=True)
class AnisotropicResiduals:
    r"""Residuals E_k^μ ~ N(0, Σ) around centroids, as the outliers' equation sees them.

    Parameters
    ----------
    bulk : AnisotropicBulk
        What the residuals make by themselves.
    K : ndarray, shape (GC, GC)
        Gram matrix c cᵀ of the centroids, as measured if ``errors`` are given.
    overlaps : ndarray, shape (GC, q)
        Components of the centroids along the eigenvectors of Σ, in the order of the spectrum.
    errors : ndarray, shape (GC, GC), optional
        V, where the centroids are measured with errors of the law V ⊗ Σ; none by default.
    """

    bulk: AnisotropicBulk
    K: Float64[np.ndarray, "GC GC"]
    overlaps: Float64[np.ndarray, "GC q"]
    errors: Float64[np.ndarray, "GC GC"] | float = 0.0

    @property
    def edge(self) -> float:
        """Right edge of the bulk."""
        return self.bulk.edge

    def weighted_gram(
        self, inside: Inexact[np.ndarray, " q"], outside: float | complex
    ) -> Inexact[np.ndarray, "GC GC"]:
        """c f(Σ) cᵀ less its bias V tr Σf(Σ), for the values of f on the s_j and at zero."""
        o, s = self.overlaps, self.bulk.covariance_spectrum
        return outside * self.K + (o * (inside - outside)) @ o.T - (inside @ s) * self.errors

    def at(self, z: float) -> Resolvent:
        """Resolvent at z: a direction of weight space has the weight −Q = 1/(z − b s_j)."""
        e, e_slope, b, b_slope = self.bulk.solution(z)
        s = self.bulk.covariance_spectrum
        weight = 1 / (z - b * s)
        gram = self.weighted_gram(weight, 1 / z)
        values, vectors = np.linalg.eigh(gram)
        N = self.bulk.num_examples
        return Resolvent(
            root=vectors * np.sqrt(np.maximum(values, 0.0)),
            gram_slope=z * self.weighted_gram(-(1 - b_slope * s) * weight**2, -1 / z**2),
            load=e / N,
            load_slope=z * e_slope / N,
        )


@dataclass(frozen=True)
class AnisotropicTheory(ConditionalTheory):
    r"""Deterministic equivalents for residuals of covariance Σ, the same for all logits.

    Parameters
    ----------
    probabilities : ndarray, shape (N, C)
        p^μ.
    labels : ndarray, shape (N,)
        Classes, 0 to C − 1.
    K : ndarray, shape (C, C) or (C², C²)
        Gram matrix of the centroids c_k, or of class-conditional centroids c_{k,a} at row a·C + k.
    covariance_spectrum : ndarray, shape (q,)
        Eigenvalues s_j > 0 of Σ, descending; Σ_j s_j = σ_E².
    num_params : float
        D.
    overlaps : ndarray, shape (GC, q), optional
        Components of the centroids along the eigenvectors of Σ; by default those of centroids
        that know nothing of Σ in a large space, zero.
    errors : ndarray, shape (GC, GC), optional
        V, where K and the overlaps are of centroids with errors of the law V ⊗ Σ, whose share is
        subtracted.

    See Also
    --------
    Theory : for Σ = σ_E² I/D.

    Examples
    --------
    >>> import numpy as np
    >>> p, labels = np.full((30, 3), 1 / 3), np.arange(30) % 3
    >>> theory = AnisotropicTheory(p, labels, np.eye(3), np.array([0.2, 0.1, 0.05]), 1000)
    >>> theory.outliers.shape, bool(theory.edge < 0.2)
    ((2,), True)
    """

    covariance_spectrum: Float64[np.ndarray, " q"]
    num_params: int | float
    overlaps: Float64[np.ndarray, "GC q"] | None = None
    errors: Float64[np.ndarray, "GC GC"] | float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        s = self.covariance_spectrum
        if s.ndim != 1 or len(s) == 0 or not (s > 0).all() or (np.diff(s) > 0).any():
            raise ValueError(
                f"covariance_spectrum of shape {s.shape} must be positive numbers in descending "
                "order, at least one"
            )
        if self.num_params < len(s):
            raise ValueError(
                f"num_params is {self.num_params!r}; it must be at least the {len(s)} entries of "
                "covariance_spectrum"
            )

    @cached_property
    def bulk(self) -> AnisotropicBulk:
        """The spectrum of the residuals by themselves."""
        m = curvature_eigenvalues(self.probabilities)
        return AnisotropicBulk(m.ravel(), self.covariance_spectrum, self.num_params, len(m))

    @cached_property
    def _residuals(self) -> AnisotropicResiduals:
        o = self.overlaps
        if o is None:
            o = np.zeros((len(self.K), len(self.covariance_spectrum)))
        return AnisotropicResiduals(self.bulk, self.K, o, self.errors)

    def eigenvalues(self, k: int) -> Float64[np.ndarray, " k"]:
        """Typical places of the k largest eigenvalues, of outliers and bulk alike, descending.

        Where a few directions of Σ stand out, the bulk falls into bands, and outliers may lie
        between them, left of its edge. See `landscope.random_model.spectral_count`.
        """
        return SpectralCount(self._curvature, self._residuals).locations(k)

    def _gradient_norm(self, errors: Float64[np.ndarray, "N C"]) -> float:
        stacked = self._curvature.mean_by_group(errors)
        ones = np.ones_like(self.covariance_spectrum)
        noise = self.covariance_spectrum.sum() * np.square(errors).mean(0).sum()
        signal = stacked @ self._residuals.weighted_gram(ones, 1.0) @ stacked
        return float(np.sqrt(max(signal + noise / len(errors), 0.0)))

    @cached_property
    def trace(self) -> float:
        """Mean of Tr H, Tr(B₀K) + σ_E² Tr M̄, B₀ the mean of M by group."""
        mean, s = self._curvature.B(0.0), self.covariance_spectrum
        K = self._residuals.weighted_gram(np.ones_like(s), 1.0)
        return float(np.sum(mean * K) + s.sum() * np.trace(mean))

    @cached_property
    def frobenius_norm(self) -> float:
        r"""Root mean square of ‖H‖_F.

        With K_Σ = cΣcᵀ,

        .. math:: E‖H‖_F^2 = \mathrm{tr}(B_0K)^2 + 2\,\mathrm{tr}M̄\,\mathrm{tr}(B_0K_Σ)
            + (\mathrm{tr}M̄)^2\,\mathrm{tr}Σ^2 + \frac1N \big[
            2\,\mathrm{tr}\overline{M^2}(σ_E^2 K + K_Σ)
            + \mathrm{tr}\overline{M^2}\,(σ_E^4 + \mathrm{tr}Σ^2)\big].
        """
        s, N = self.covariance_spectrum, len(self.labels)
        K = self._residuals.weighted_gram(np.ones_like(s), 1.0)
        K_sigma = self._residuals.weighted_gram(s, 0.0)
        mean, square = self._curvature.B(0.0), self._curvature.mean_square()
        signal = mean @ K
        total = np.sum(signal * signal.T) + 2 * np.trace(mean) * np.sum(mean * K_sigma)
        total += np.trace(mean) ** 2 * np.sum(s**2)
        single = 2 * np.sum(square * (s.sum() * K + K_sigma))
        single += np.trace(square) * (s.sum() ** 2 + np.sum(s**2))
        return float(np.sqrt(max(total + single / N, 0.0)))
