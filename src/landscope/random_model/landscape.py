"""One draw of the random model: its Hessian's spectrum and its gradient, exactly."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg
from jaxtyping import Float64

from landscope.random_model.bartlett import isotropic_rows
from landscope.random_model.memory import refuse_beyond_memory
from landscope.random_model.softmax_curvature import curvature_eigenpairs, softmax_errors
from landscope.random_model.theory import Theory

if TYPE_CHECKING:
    from landscope.random_model.model import RandomModel


class Landscape:
    r"""One draw of a `RandomModel`; made by `RandomModel.sample`.

    The Hessian is H = AᵀA with rows √(m_i^μ/N) u_i^μᵀ J^μ of A, where (m_i^μ, u_i^μ) are the
    eigenpairs of M^μ = diag(p^μ) − p^μ p^μᵀ; there are N(C − 1) of them. Logit gradients J^μ are
    held in d = min(D, number of Gaussian rows) coordinates, see
    `landscope.random_model.bartlett.isotropic_rows`.

    Attributes
    ----------
    model : RandomModel
        What was drawn from.
    logits, probabilities : ndarray, shape (N, C)
        z^μ and p^μ = softmax(z^μ).
    labels : ndarray, shape (N,)
        Class of each example.
    centroids : ndarray, shape (C, d) or (C², d)
        Means c_k of the logit gradients; with class-conditional centroids, row a·C + k is c_{k,a}.

    Examples
    --------
    >>> import landscope as ls
    >>> land = ls.RandomModel(num_classes=3, num_examples=20, num_params=10**12).sample(seed=0)
    >>> land.eigenvalues().shape
    (40,)
    >>> bool(land.gradient_power(40)[-1] > 0.999999)
    True
    """

    def __init__(self, model: RandomModel, seed: int):
        rng = np.random.default_rng(seed)
        self.model = model
        self.seed = seed
        self.logits, self.probabilities, self.labels = model.draw_examples(rng)
        centroids, residuals = self._draw_gradients(rng)
        self.centroids: Float64[np.ndarray, "GC d"] = centroids
        means = centroids.reshape(-1, model.num_classes, centroids.shape[1])
        groups = self.labels if len(means) > 1 else np.zeros_like(self.labels)
        N = model.num_examples
        errors = softmax_errors(self.probabilities, self.labels)
        m, U = curvature_eigenpairs(self.probabilities)
        roots = (U * np.sqrt(m / N)[:, None, :]).transpose(0, 2, 1)
        d = centroids.shape[1]
        factor = np.empty((N, model.num_classes - 1, d))
        gradient = np.zeros(d)
        for example, group in enumerate(groups):  # one example's J at a time: memory holds A alone
            J = means[group] if residuals is None else means[group] + residuals[example]
            factor[example] = roots[example] @ J
            gradient += errors[example] @ J / N
        # In units of the largest entry, so that squares stay in range.
        self._unit = float(np.abs(factor).max()) or 1.0
        factor /= self._unit
        self._A: Float64[np.ndarray, "NR d"] = factor.reshape(-1, d)
        self._g: Float64[np.ndarray, " d"] = gradient

    def _draw_gradients(
        self, rng: np.random.Generator
    ) -> tuple[Float64[np.ndarray, "GC d"], Float64[np.ndarray, "N C d"] | None]:
        """Centroids and residuals in common coordinates; no residuals where σ_E = 0."""
        model = self.model
        mixing = model.centroid_mixing()
        num_means = mixing.shape[1]
        num_rows = model.num_rows
        rows = isotropic_rows(num_rows, model.num_params, rng)
        centroids = mixing @ rows[:num_means]
        if num_rows == num_means:
            return centroids, None
        residuals = rows[num_means:]
        residuals *= model.sigma_e
        return centroids, residuals.reshape(model.num_examples, model.num_classes, -1)

    @cached_property
    def _curvature(self) -> Float64[np.ndarray, "n n"]:
        """The smaller of AᵀA and AAᵀ, in squared units: the same nonzero spectrum."""
        A = self._A
        return A.T @ A if self._in_weight_space else A @ A.T

    @property
    def _in_weight_space(self) -> bool:
        return self._A.shape[1] < self._A.shape[0]

    @cached_property
    def _eigenvalues(self) -> Float64[np.ndarray, " n"]:
        return self._unit**2 * np.maximum(np.linalg.eigvalsh(self._curvature)[::-1], 0.0)

    def eigenvalues(self) -> Float64[np.ndarray, " n"]:
        """All min(N(C − 1), d) eigenvalues that can differ from zero, descending.

        The other eigenvalues of H are zero.
        """
        return self._eigenvalues.copy()

    def eigenvectors(self, k: int) -> Float64[np.ndarray, "d k"]:
        """The top k eigenvectors in the d coordinates, signed to have v·g ≥ 0; NaN where λ = 0.

        Raises
        ------
        ValueError
            For k outside 1 to the number of eigenvalues.
        """
        n = len(self._curvature)
        if not 1 <= k <= n:
            raise ValueError(f"k is {k!r}; it must be a whole number from 1 to {n}")
        values, vectors = scipy.linalg.eigh(
            self._curvature, subset_by_index=[n - k, n - 1], check_finite=False
        )
        values, vectors = values[::-1], vectors[:, ::-1]
        if not self._in_weight_space:
            vectors = self._A.T @ vectors
            vectors /= np.linalg.norm(vectors, axis=0, keepdims=True).clip(np.finfo(float).tiny)
        signs = np.where(self._g @ vectors < 0, -1.0, 1.0)
        above_rounding = values > 4 * np.finfo(float).eps * n * max(values[0], 0.0)
        return vectors * np.where(above_rounding, signs, np.nan)

    def cosines(self, k: int) -> Float64[np.ndarray, " k"]:
        """Cosines v_j·g/‖g‖ of the gradient with the top k eigenvectors, signed to be ≥ 0.

        NaN where g = 0 or λ_j = 0 (to rounding), for such an eigenvector is arbitrary.
        """
        vectors = self.eigenvectors(k)
        norm = self.gradient_norm()
        return self._g / norm @ vectors if norm > 0 else np.full(k, np.nan)

    def gradient_power(self, k: int) -> Float64[np.ndarray, " k"]:
        """Cumulative share Σ_{i≤j} (v_i·g)²/‖g‖² of the gradient in the top k eigenvectors.

        An eigenvector of eigenvalue zero adds nothing; NaN where g = 0.
        """
        cosines = self.cosines(k)
        shares = np.nan_to_num(cosines**2) if np.any(self._g) else cosines
        return np.cumsum(shares)

    def centroid_overlap(self, k: int) -> Float64[np.ndarray, " k"]:
        """Squared length of each top eigenvector's part in the span of the centroids."""
        left, singular, _ = np.linalg.svd(self.centroids.T, full_matrices=False)
        rank = singular > 1e-12 * max(singular[0], np.finfo(float).tiny)
        return np.square(left[:, rank].T @ self.eigenvectors(k)).sum(0)

    def gradient_norm(self) -> float:
        """‖g‖."""
        return float(scipy.linalg.norm(self._g))  # scaled: no square underflows

    def theory(self) -> Theory:
        """What random matrix theory predicts, given this draw's probabilities and centroids."""
        model = self.model
        K = self.centroids @ self.centroids.T
        return Theory(self.probabilities, self.labels, K, model.sigma_e, model.num_params)

    def trace(self) -> float:
        """Tr H."""
        return float(self._unit**2 * np.square(self._A).sum())

    def frobenius_norm(self) -> float:
        """‖H‖_F."""
        return float(self._unit**2 * np.linalg.norm(self._curvature))

    @cached_property
    def _isometry(self) -> Float64[np.ndarray, "d D"]:
        """Q, uniformly random, whose rows are the coordinates' axes; I where rows are direct."""
        d, D = self._A.shape[1], int(self.model.num_params)
        if self.model.num_rows > D:
            return np.eye(D)
        refuse_beyond_memory(8 * 3 * d * D, f"dense weight space with num_params={D}")
        gaussian = np.random.default_rng([self.seed, 1]).standard_normal((D, d))
        Q, R = np.linalg.qr(gaussian)
        return (Q * np.sign(np.diag(R))).T

    def hessian(self) -> Float64[np.ndarray, "D D"]:
        """H in weight space.

        Raises
        ------
        MemoryError
            Where a dense matrix of order D takes more memory than is free.
        """
        D = int(self.model.num_params)
        refuse_beyond_memory(8 * 2 * D**2, f"a dense Hessian with num_params={D}")
        rows = self._unit * self._A @ self._isometry
        return rows.T @ rows

    def gradient(self) -> Float64[np.ndarray, " D"]:
        """The gradient g in weight space, in the same coordinates as `hessian`."""
        return self._g @ self._isometry
