"""Isotropic Gaussian rows of any dimension, up to a common isometry."""

import numpy as np
from jaxtyping import Float64


def isotropic_rows(
    num_rows: int, dim: int | float, rng: np.random.Generator
) -> Float64[np.ndarray, "num_rows d"]:
    r"""Draw rows of law N(0, I_D/D), in d = min(n, D) coordinates.

    Parameters
    ----------
    num_rows : int
        The number n of rows.
    dim : float
        Their dimension D, a whole number of any size.
    rng : numpy.random.Generator
        Source of the randomness.

    Returns
    -------
    ndarray, shape (n, d)
        For D < n the rows themselves. For D ≥ n the rows are LQ, with L the returned lower
        triangle and Q a uniformly random isometry R^n → R^D independent of L: inner products, and
        whatever is made of them, are those of rows in R^D.

    Notes
    -----
    Bartlett's decomposition: LLᵀ ~ Wishart(D, I)/D where L_ii² D ~ χ² with D − i + 1 degrees of
    freedom, i = 1…n, and L_ij √D ~ N(0, 1) below the diagonal (Anderson, *An Introduction to
    Multivariate Statistical Analysis*, 3rd edition, section 7.2).

    Examples
    --------
    >>> import numpy as np
    >>> rows = isotropic_rows(3, 1e12, np.random.default_rng(0))
    >>> bool(np.allclose(rows @ rows.T, np.eye(3), atol=1e-5))
    True
    """
    dim = float(dim)
    if dim < num_rows:
        return rng.standard_normal((num_rows, int(dim))) / np.sqrt(dim)
    triangle = np.tril(rng.standard_normal((num_rows, num_rows)), -1)
    triangle[np.diag_indices(num_rows)] = np.sqrt(rng.chisquare(dim - np.arange(num_rows)))
    return triangle / np.sqrt(dim)
