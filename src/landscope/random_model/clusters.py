r"""Measured logit gradients taken apart into centroids and residuals, by inner products alone.

J_k^μ = c_{k,a(μ)} + E_k^μ over groups a of examples: one group for centroids c_k, one per class for
class-conditional centroids. Centroids minimise Σ_μ tr (E^μ)ᵀ W^μ E^μ, with W^μ = I, or W^μ = M^μ
for the metric of G itself: then the cross term Σ_μ cᵀM^μ E^μ of G vanishes, and whatever residuals
and probabilities have in common enters the centroids and the residuals' covariance.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
from jaxtyping import Float64, Int64

from landscope.random_model.measured import MeasuredLandscape
from landscope.random_model.softmax_curvature import curvature_eigenpairs

MEANS = ("centroids", "class")
WEIGHTS = ("uniform", "curvature")
ROUNDING = 1e-12

FLAT = 1e-8
"""Combinations of logits with a smaller share of their group's curvature have no centroid."""


@dataclass(frozen=True)
class Clusters:
    r"""Centroids and residuals of a measured landscape.

    With W_a = Σ_{μ∈a} W^μ the centroids are c_a = W_a⁺ Σ_{μ∈a} W^μ J^μ. For residuals E_k^μ of
    one covariance Σ, independent of the W^μ, the errors of c_a have the covariance V_a ⊗ Σ,
    V_a = W_a⁺ (Σ_{μ∈a} (W^μ)²) W_a⁺, which is I/n_a for W = I; and Σ_μ (E^μ)ᵀ W^μ E^μ has the mean
    νΣ with ν = Σ_μ tr W^μ − Σ_a tr(W_a V_a) degrees of freedom, N − G for each logit for W = I.

    Parameters
    ----------
    landscape : MeasuredLandscape
        Inner products of the logit gradients.
    means : {"centroids", "class"}
        Centroids c_k of all examples, or c_{k,a} of the examples of each class a.
    weights : {"uniform", "curvature"}
        W^μ = I or W^μ = M^μ.

    Raises
    ------
    ValueError
        For other means or weights, or a group with fewer than two examples.

    Examples
    --------
    One logit of mean zero in two dimensions, another that does not move.

    >>> import numpy as np
    >>> J = np.array([[1.0, 0], [0, 0], [-1, 0], [0, 0]])
    >>> logits, labels = np.zeros((2, 2)), np.array([0, 1])
    >>> clusters = Clusters(MeasuredLandscape(J @ J.T, logits, labels, 2), "centroids")
    >>> clusters.covariance_spectrum.round(12).tolist(), clusters.sigma_e
    ([1.0], 1.0)
    """

    landscape: MeasuredLandscape
    means: str
    weights: str = "uniform"

    def __post_init__(self) -> None:
        if self.means not in MEANS:
            raise ValueError(f"means is {self.means!r}; it must be one of {', '.join(MEANS)}")
        if self.weights not in WEIGHTS:
            raise ValueError(f"weights is {self.weights!r}; it must be one of {', '.join(WEIGHTS)}")
        fewest = int(np.argmin(self.counts))
        if self.counts[fewest] < 2:
            of_what = f"of class {fewest}" if self.means == "class" else "in all"
            raise ValueError(
                f"labels has {self.counts[fewest]} examples {of_what}; residuals around a mean "
                "need at least two"
            )

    @cached_property
    def groups(self) -> Int64[np.ndarray, " N"]:
        """Group of each example."""
        labels = self.landscape.labels
        return labels if self.means == "class" else np.zeros_like(labels)

    @cached_property
    def counts(self) -> Int64[np.ndarray, " G"]:
        """Examples n_a of each group."""
        num_groups = self.landscape.num_classes if self.means == "class" else 1
        return np.bincount(self.groups, minlength=num_groups)

    @cached_property
    def weight_roots(self) -> Float64[np.ndarray, "N C r"]:
        """L^μ with W^μ = L^μ L^μᵀ; the null vector 1 of M^μ has no column."""
        N, C = self.landscape.logits.shape
        if self.weights == "uniform":
            return np.broadcast_to(np.eye(C), (N, C, C))
        m, U = curvature_eigenpairs(self.landscape.probabilities)
        return U * np.sqrt(m)[:, None, :]

    @cached_property
    def _weights(self) -> Float64[np.ndarray, "N C C"]:
        """W^μ."""
        return self.weight_roots @ self.weight_roots.transpose(0, 2, 1)

    def _sum_by_group(self, x: Float64[np.ndarray, "N *s"]) -> Float64[np.ndarray, "G *s"]:
        total = np.zeros((len(self.counts), *x.shape[1:]))
        np.add.at(total, self.groups, x)
        return total

    @cached_property
    def _inverse_totals(self) -> Float64[np.ndarray, "G C C"]:
        """W_a⁺."""
        return np.linalg.pinv(self._sum_by_group(self._weights), FLAT, hermitian=True)

    @cached_property
    def _squares(self) -> Float64[np.ndarray, "G C C"]:
        """Σ_{μ∈a} (W^μ)²."""
        return self._sum_by_group(self._weights @ self._weights)

    @cached_property
    def centroid_errors(self) -> Float64[np.ndarray, "GC GC"]:
        """The block-diagonal matrix of the V_a: errors of the centroids have the law V ⊗ Σ."""
        V = scipy.linalg.block_diag(*self._inverse_totals @ self._squares @ self._inverse_totals)
        return (V + V.T) / 2

    @cached_property
    def degrees_of_freedom(self) -> float:
        """The ν by which the weighted scatter of the residuals is divided."""
        spent = np.sum(self._inverse_totals * self._squares)
        return float(np.einsum("nkk->", self._weights) - spent)

    def centroid_rows(self, rows: Float64[np.ndarray, "NC q"]) -> Float64[np.ndarray, "GC q"]:
        """Weighted means over each group of rows by example and logit, at a·C + k."""
        N, C = self.landscape.logits.shape
        weighted = self._weights @ rows.reshape(N, C, -1)
        return (self._inverse_totals @ self._sum_by_group(weighted)).reshape(-1, rows.shape[1])

    def mean_rows(self, rows: Float64[np.ndarray, "NC q"]) -> Float64[np.ndarray, "NC q"]:
        """The mean of its group for each row."""
        N, C = self.landscape.logits.shape
        means = self.centroid_rows(rows).reshape(len(self.counts), C, -1)
        return means[self.groups].reshape(N * C, -1)

    def weighted_residual_rows(
        self, rows: Float64[np.ndarray, "NC q"]
    ) -> Float64[np.ndarray, "Nr q"]:
        """Rows (L^μ)ᵀ(J^μ − c_{a(μ)})."""
        N, C = self.landscape.logits.shape
        residuals = (rows - self.mean_rows(rows)).reshape(N, C, -1)
        return (self.weight_roots.transpose(0, 2, 1) @ residuals).reshape(-1, rows.shape[1])

    @cached_property
    def _covariance(
        self,
    ) -> tuple[Float64[np.ndarray, " q"], Float64[np.ndarray, "GC q"]]:
        """Eigenvalues of Σ, and the centroids' components along its eigenvectors."""
        from_the_left = self.weighted_residual_rows(self.landscape.gram)
        scatter = self.weighted_residual_rows(from_the_left.T)
        values, vectors = scipy.linalg.eigh(scatter, driver="evd", check_finite=False)
        kept = values > ROUNDING * max(values[-1], 0.0)
        kept[: max(0, len(values) - self.landscape.num_params)] = False  # of rank D at most
        values, vectors = values[kept][::-1], vectors[:, kept][:, ::-1]
        overlaps = self.centroid_rows(from_the_left.T) @ vectors / np.sqrt(values)
        return values / self.degrees_of_freedom, overlaps

    @property
    def covariance_spectrum(self) -> Float64[np.ndarray, " q"]:
        """Eigenvalues s_j of Σ = Σ_μ (E^μ)ᵀW^μE^μ/ν above zero, descending; their sum is σ_E²."""
        return self._covariance[0]

    @property
    def overlaps(self) -> Float64[np.ndarray, "GC q"]:
        """Components of the (raw) centroids along the eigenvectors of Σ."""
        return self._covariance[1]

    @cached_property
    def sigma_e(self) -> float:
        """Root mean square length σ_E of the residuals."""
        N, C = self.landscape.logits.shape
        from_the_left = self.landscape.gram - self.mean_rows(self.landscape.gram)
        gram = (from_the_left.T - self.mean_rows(from_the_left.T)).reshape(N, C, N, C)
        scatter = np.einsum("nkl,nknl->", self._weights, gram)
        return float(np.sqrt(max(scatter, 0.0) / self.degrees_of_freedom))

    @cached_property
    def raw_gram(self) -> Float64[np.ndarray, "GC GC"]:
        """Gram matrix of the centroids as they are measured, at a·C + k."""
        gram = self.centroid_rows(self.centroid_rows(self.landscape.gram).T)
        return (gram + gram.T) / 2

    @cached_property
    def gram(self) -> Float64[np.ndarray, "GC GC"]:
        """Gram matrix K of the centroids, less the residuals' share σ_E² V."""
        return self.raw_gram - self.sigma_e**2 * self.centroid_errors

    def spreads(self) -> tuple[float, float]:
        """σ_c and σ_class of c_{k,a} = c_k + d_{k,a}; zero where debiasing leaves less.

        Curvature weights leave the part that all logits have in common out of the centroids, one
        of their C degrees of freedom.
        """
        G, logits = len(self.counts), self.weight_roots.shape[2]
        by_group = self.gram.reshape(G, self.landscape.num_classes, G, self.landscape.num_classes)
        products = np.einsum("akbk->ab", by_group) / logits
        of_mean = float(products.mean())
        variance = (float(np.trace(products)) / G - of_mean) * G / (G - 1) if G > 1 else 0.0
        return max(of_mean - variance / G, 0.0) ** 0.5, max(variance, 0.0) ** 0.5
