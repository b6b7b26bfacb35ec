"""Curvature of the cross-entropy in the logits: M = diag(p) − ppᵀ and its eigenpairs."""

import numpy as np
from jaxtyping import Float64


def softmax(logits: Float64[np.ndarray, "N C"]) -> Float64[np.ndarray, "N C"]:
    """Probabilities of the classes, one row per example.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.array([[1000.0, 1000.0]])).tolist()
    [[0.5, 0.5]]
    """
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def curvature_root(p: Float64[np.ndarray, "N C"]) -> Float64[np.ndarray, "N C C"]:
    """The root S = diag(√p) − p√pᵀ of M = SSᵀ, exact for the smallest probabilities too."""
    root = np.sqrt(p)
    return root[:, :, None] * np.eye(p.shape[1]) - p[:, :, None] * root[:, None, :]


def curvature_eigenpairs(
    p: Float64[np.ndarray, "N C"],
) -> tuple[Float64[np.ndarray, "N r"], Float64[np.ndarray, "N C r"]]:
    """Eigenpairs of M^μ = diag(p^μ) − p^μ p^μᵀ, without the one of the null vector 1.

    Parameters
    ----------
    p : ndarray, shape (N, C)
        Probabilities.

    Returns
    -------
    values : ndarray, shape (N, C − 1)
        Descending, between 0 and 1/2. They are squared singular values of S, hence precise far
        below the rounding of M.
    vectors : ndarray, shape (N, C, C − 1)
        Orthonormal columns, M^μ = vectors · diag(values) · vectorsᵀ.

    Examples
    --------
    >>> import numpy as np
    >>> curvature_eigenpairs(np.full((1, 4), 0.25))[0].round(12).tolist()
    [[0.25, 0.25, 0.25]]
    """
    vectors, singular, _ = np.linalg.svd(curvature_root(p))
    return singular[:, :-1] ** 2, vectors[:, :, :-1]
