"""Curvature of the cross-entropy in the logits: M = diag(p) − ppᵀ and its eigenpairs."""

import numpy as np
from jaxtyping import Float64, Int64
from scipy.linalg.lapack import dlasd4

MERGED = 4 * np.finfo(float).eps
"""Probabilities that differ by less, relatively, are one."""

NEIGHBOURHOOD = 1e100
"""Probabilities that differ by a larger factor do not feel each other's place."""


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


def softmax_errors(
    p: Float64[np.ndarray, "N C"], labels: Int64[np.ndarray, " N"]
) -> Float64[np.ndarray, "N C"]:
    """Errors r^μ = p^μ − y^μ, whose rows sum to zero however near p is to a corner.

    The entry of the label is minus the sum of the others: p − 1 would lose all that is below the
    rounding of 1.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_errors(np.array([[1.0, 1e-30]]), np.array([0])).tolist()
    [[-1e-30, 1e-30]]
    """
    errors = p.copy()
    own = np.arange(len(p)), labels
    errors[own] = 0.0
    errors[own] = -errors.sum(1)
    return errors


def curvature_eigenvalues(p: Float64[np.ndarray, "N C"]) -> Float64[np.ndarray, "N r"]:
    r"""Eigenvalues of M^μ = diag(p^μ) − p^μ p^μᵀ, without the zero of the null vector 1.

    Each lies between two neighbouring probabilities, where Σ_k p_k/(p_k − m) = 0, and is precise
    relative to itself. No matrix is formed: C roots of a sum over C for each example.

    Parameters
    ----------
    p : ndarray, shape (N, C)
        Probabilities.

    Returns
    -------
    ndarray, shape (N, C − 1)
        Descending.

    Notes
    -----
    With the weights p_k the secular equation 1/ρ + Σ_k z_k²/(d_k² − m) = 0 of a matrix D² + ρzzᵀ
    for ρ → ∞ is 1 = Σ_k p_k²/(p_k − m), since Σ_k p_k = 1; LAPACK's `dlasd4` solves it (Li 1994,
    LAPACK working note 89).

    Examples
    --------
    >>> import numpy as np
    >>> curvature_eigenvalues(np.array([[1.0, 1e-30]])).tolist()
    [[2e-30]]
    """
    values = np.sort(p, 1)[:, :-1]
    for example, row in enumerate(np.sort(p, 1)):
        if row[-2] == 0:  # one class is certain
            continue
        last_of_each = np.append(np.diff(row) > MERGED * row[1:], True) & (row > 0)
        places = np.flatnonzero(last_of_each)
        if len(places) > 1:
            first_of_each = np.append(np.searchsorted(row, 0.0, "right"), places[:-1] + 1)
            multiplicity = places + 1 - first_of_each
            values[example, places[:-1]] = _secular_roots(row[places], multiplicity)
    return values[:, ::-1]


def _secular_roots(
    poles: Float64[np.ndarray, " k"], multiplicity: Int64[np.ndarray, " k"]
) -> list[float]:
    """Roots of Σ n_k p_k/(p_k − m) between neighbouring ones of the ascending p_k."""
    if len(poles) == 2:
        (low, high), (few, many) = poles, multiplicity
        return [(few + many) * (low * high) / (few * low + many * high)]
    wide = poles[-1] > NEIGHBOURHOOD * poles[0]
    whole = _Neighbourhood(poles, multiplicity, 0, len(poles))
    roots = []
    for k in range(len(poles) - 1):
        near = whole
        if wide:
            first = int(np.searchsorted(poles, poles[k] / NEIGHBOURHOOD))
            end = int(np.searchsorted(poles, poles[k] * NEIGHBOURHOOD, "right"))
            near = _Neighbourhood(poles, multiplicity, first, end)
        roots.append(near.root(k))
    return roots


class _Neighbourhood:
    """Poles first to end − 1; each of those above adds 1, those below nothing."""

    def __init__(
        self,
        poles: Float64[np.ndarray, " k"],
        multiplicity: Int64[np.ndarray, " k"],
        first: int,
        end: int,
    ):
        self.first, self.unit = first, float(poles[end - 1])
        self.distances = np.sqrt(poles[first:end] / self.unit)
        weights = self.distances * np.sqrt(multiplicity[first:end])
        length = float(np.linalg.norm(weights))
        self.weights = weights / length
        above = float(multiplicity[end:].sum())
        self.rho = length**2 / above if above else 1e20

    def root(self, k: int) -> float:
        if len(self.distances) == 1:
            return self.unit * (1 + self.rho)
        _, root, _, info = dlasd4(k - self.first, self.distances, self.weights, self.rho)
        if info:
            raise np.linalg.LinAlgError("dlasd4 found no root of the secular equation")
        return root**2 * self.unit
