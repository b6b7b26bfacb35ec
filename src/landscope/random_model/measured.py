"""A measured landscape: inner products of logit gradients, and what follows from them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
from jaxtyping import Float64, Int64

from landscope.random_model.softmax_curvature import curvature_eigenpairs, softmax, softmax_errors


@dataclass(frozen=True)
class MeasuredLandscape:
    r"""The counterpart of a `Landscape` that was measured rather than drawn.

    With (m_i^μ, u_i^μ) the eigenpairs of M^μ, the rows of A are √(m_i^μ/N) u_i^μᵀ J^μ, so that
    G = AᵀA: the Gram matrix of J gives that of A, and with it G's spectrum and the gradient's
    components along its eigenvectors.

    Parameters
    ----------
    gram : ndarray, shape (N·C, N·C)
        J Jᵀ, rows by example, then logit.
    logits : ndarray, shape (N, C)
        z^μ, C ≥ 2.
    labels : ndarray, shape (N,)
        Classes, 0 to C − 1.
    num_params : int
        D.

    Raises
    ------
    ValueError
        For shapes that do not fit, numbers that are not finite, labels that are no classes, or a
        Gram matrix that is not symmetric.

    Examples
    --------
    Two orthogonal logit gradients of length one, p = ½: G = ¼ (J_1 − J_2)ᵀ(J_1 − J_2).

    >>> import numpy as np
    >>> measured = MeasuredLandscape(np.eye(2), np.zeros((1, 2)), np.array([0]), 2)
    >>> measured.eigenvalues().round(12).tolist(), measured.gradient_power(1).round(12).tolist()
    ([0.5], [1.0])
    """

    gram: Float64[np.ndarray, "NC NC"]
    logits: Float64[np.ndarray, "N C"]
    labels: Int64[np.ndarray, " N"]
    num_params: int

    def __post_init__(self) -> None:
        logits, labels, gram = self.logits, self.labels, self.gram
        if logits.ndim != 2 or logits.shape[1] < 2 or not np.isfinite(logits).all():
            raise ValueError(
                f"logits of shape {logits.shape} must be rows of at least two finite numbers"
            )
        N, C = logits.shape
        if labels.shape != (N,) or not ((labels >= 0) & (labels < C)).all():
            raise ValueError(
                f"labels of shape {labels.shape} must be {N} classes from 0 to {C - 1}"
            )
        if gram.shape != (N * C, N * C) or not np.isfinite(gram).all():
            raise ValueError(
                f"gram of shape {gram.shape} must be finite numbers of shape {(N * C, N * C)}"
            )
        asymmetry = np.abs(gram - gram.T).max()
        if asymmetry > 1e-5 * np.abs(gram).max():
            raise ValueError(f"gram differs from its transpose by {asymmetry:.2g}; it must not")

    @property
    def num_examples(self) -> int:
        """N."""
        return len(self.logits)

    @property
    def num_classes(self) -> int:
        """C."""
        return self.logits.shape[1]

    @cached_property
    def probabilities(self) -> Float64[np.ndarray, "N C"]:
        """p^μ = softmax(z^μ)."""
        return softmax(self.logits)

    @cached_property
    def errors(self) -> Float64[np.ndarray, "N C"]:
        """r^μ = p^μ − y^μ."""
        return softmax_errors(self.probabilities, self.labels)

    @cached_property
    def _eigenpairs(self) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, "n n"]]:
        """Eigenpairs (λ, a) of AAᵀ, descending."""
        values, vectors = scipy.linalg.eigh(self._curvature, driver="evd", check_finite=False)
        return np.maximum(values[::-1], 0.0), vectors[:, ::-1]

    @cached_property
    def _factor(self) -> Float64[np.ndarray, "N C r"]:
        """The √(m_i^μ/N) u_i^μ side by side."""
        m, U = curvature_eigenpairs(self.probabilities)
        return U * np.sqrt(m / len(m))[:, None, :]

    @cached_property
    def _curvature(self) -> Float64[np.ndarray, "n n"]:
        """AAᵀ."""
        return self._rows(self._rows(self.gram).T)

    def _rows(self, of_logits: Float64[np.ndarray, "NC q"]) -> Float64[np.ndarray, "n q"]:
        """Combine rows by logit, of J, to rows of A."""
        N, C = self.logits.shape
        by_example = of_logits.reshape(N, C, -1)
        return (self._factor.transpose(0, 2, 1) @ by_example).reshape(N * (C - 1), -1)

    def eigenvalues(self) -> Float64[np.ndarray, " n"]:
        """The min(N(C − 1), D) eigenvalues of G that can differ from zero, descending."""
        values, _ = self._eigenpairs
        return values[: min(len(values), int(self.num_params))].copy()

    def gradient_power(self, k: int) -> Float64[np.ndarray, " k"]:
        """Cumulative share Σ_{i≤j} (v_i·g)²/‖g‖² of the gradient in G's top k eigenvectors.

        An eigenvector of eigenvalue zero (to rounding) adds nothing; NaN where g = 0.
        """
        values, a = self._eigenpairs
        if not 1 <= k <= len(values):
            raise ValueError(f"k is {k!r}; it must be a whole number from 1 to {len(values)}")
        if self.gradient_norm() == 0:
            return np.full(k, np.nan)
        errors = self.errors.ravel() / self.num_examples
        Ag = self._rows((self.gram @ errors)[:, None])[:, 0]
        squares = np.square(a[:, :k].T @ Ag)
        above_rounding = values[:k] > len(values) * np.finfo(float).eps * values[0]
        shares = np.where(above_rounding, squares / np.where(above_rounding, values[:k], 1.0), 0.0)
        return np.cumsum(shares) / self.gradient_norm() ** 2

    def gradient_norm(self) -> float:
        """‖g‖."""
        errors = self.errors.ravel() / self.num_examples
        return float(np.sqrt(max(errors @ self.gram @ errors, 0.0)))

    def trace(self) -> float:
        """Tr G."""
        return float(np.trace(self._curvature))

    def frobenius_norm(self) -> float:
        """‖G‖_F."""
        return float(np.linalg.norm(self._curvature))
