r"""Measured logit gradients taken apart into centroids and residuals, by inner products alone.

J_k^μ = c_{k,a(μ)} + E_k^μ over groups a of examples: one group for centroids c_k, one per class for
class-conditional centroids. The mean over n examples of a group is c + (1/n) Σ E, so that its Gram
matrix is too large, on average by the residuals' own over n: that is subtracted.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64

from landscope.random_model.measured import MeasuredLandscape

MEANS = ("centroids", "class")


@dataclass(frozen=True)
class Clusters:
    """Centroids and residuals of a measured landscape.

    Parameters
    ----------
    landscape : MeasuredLandscape
        Inner products of the logit gradients.
    means : {"centroids", "class"}
        Centroids c_k of all examples, or c_{k,a} of the examples of each class a.

    Raises
    ------
    ValueError
        For other means, or a group with fewer than two examples.

    Examples
    --------
    One logit of mean zero in two dimensions, another that does not move.

    >>> import numpy as np
    >>> J = np.array([[1.0, 0], [0, 0], [-1, 0], [0, 0]])
    >>> logits, labels = np.zeros((2, 2)), np.array([0, 1])
    >>> clusters = Clusters(MeasuredLandscape(J @ J.T, logits, labels, 2), "centroids")
    >>> clusters.residual_products.tolist(), clusters.sigma_e
    ([[2.0, 0.0], [0.0, 0.0]], 1.0)
    """

    landscape: MeasuredLandscape
    means: str

    def __post_init__(self) -> None:
        if self.means not in MEANS:
            raise ValueError(f"means is {self.means!r}; it must be one of {', '.join(MEANS)}")
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
    def _averaging(self) -> Float64[np.ndarray, "G N"]:
        """The matrix that takes means over groups."""
        return (np.arange(len(self.counts))[:, None] == self.groups) / self.counts[:, None]

    def group_means(self, rows: Float64[np.ndarray, "NC q"]) -> Float64[np.ndarray, "GC q"]:
        """Means over each group of rows by example and logit, at a·C + k."""
        N, C = self.landscape.logits.shape
        q = rows.shape[1]
        return (self._averaging @ rows.reshape(N, C * q)).reshape(-1, q)

    def residual_rows(self, rows: Float64[np.ndarray, "NC q"]) -> Float64[np.ndarray, "NC q"]:
        """Rows by example and logit, less the mean of their group."""
        N, C = self.landscape.logits.shape
        means = self.group_means(rows).reshape(len(self.counts), C, -1)
        return (rows.reshape(N, C, -1) - means[self.groups]).reshape(N * C, -1)

    @cached_property
    def residual_gram(self) -> Float64[np.ndarray, "NC NC"]:
        """Inner products of all J_k^μ − c_{k,a(μ)}."""
        return self.residual_rows(self.residual_rows(self.landscape.gram).T)

    @cached_property
    def residual_products(self) -> Float64[np.ndarray, "C C"]:
        """Mean of E_k·E_l over examples, pooled over groups with N − G degrees of freedom."""
        N, C = self.landscape.logits.shape
        same_example = np.einsum("nknl->kl", self.residual_gram.reshape(N, C, N, C))
        return same_example / (N - len(self.counts))

    @property
    def sigma_e(self) -> float:
        """Root mean square length σ_E of the residuals."""
        return float(np.sqrt(np.trace(self.residual_products) / self.landscape.num_classes))

    def gram(self, bias: Float64[np.ndarray, "C C"] | None = None) -> Float64[np.ndarray, "GC GC"]:
        """Gram matrix of the centroids, at a·C + k, without the residuals' share.

        Parameters
        ----------
        bias : ndarray, shape (C, C), optional
            Mean products E_k·E_l of the residuals, of which 1/n_a is subtracted from the block of
            group a; by default σ_E² I, as for isotropic residuals.
        """
        raw = self.group_means(self.group_means(self.landscape.gram).T)
        if bias is None:
            bias = self.sigma_e**2 * np.eye(self.landscape.num_classes)
        return raw - np.kron(np.diag(1 / self.counts), bias)
