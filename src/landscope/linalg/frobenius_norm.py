"""Frobenius norm of a symmetric operator, from a sketch of its range and probes of the rest."""

import math
from typing import Any

import torch

from landscope.linalg.deflation import Deflation
from landscope.linalg.estimate import Estimate


def frobenius_norm(A: Any, num_probes: int = 30, seed: int = 0) -> Estimate:
    r"""Estimate the Frobenius norm of a symmetric operator.

    Parameters
    ----------
    A : operator of shape (D, D)
        Symmetric; anything with ``@``, ``shape``, ``dtype`` and ``device``.
    num_probes : int
        Products to spend, at least 2. From D products on, the norm is exact.
    seed : int
        Seed of the sketch and the probes.

    Returns
    -------
    Estimate
        ‖A‖_F with its standard error; ``interval`` gives Student t intervals.

    Notes
    -----
    With Q and P = I − QQᵀ as for the trace, ‖A‖_F² = ‖AQ‖_F² + ‖AP‖_F² (exact; mean of ‖Av‖² over n
    probes v of the rest) is estimated without bias. With C = PA²P the variance of one probe is

    .. math:: \mathrm{Var}‖Av‖^2 = \frac{2}{d+2}\left(d\,\mathrm{tr} C^2 − (\mathrm{tr} C)^2\right),

    with tr C² = E (Av·Av′)² over pairs of probes. The larger of this and the sample variance is
    taken: where few eigenvalues dominate, either is often too small when the estimate is. The
    standard error of the norm follows by the delta method, σ(‖A‖_F) = σ(‖A‖_F²) / 2‖A‖_F.

    Examples
    --------
    >>> import torch
    >>> A = torch.diag(1 / torch.arange(1.0, 501.0, dtype=torch.float64))
    >>> low, high = frobenius_norm(A).interval(0.95)
    >>> low < A.norm().item() < high
    True
    """
    deflation = Deflation(A, num_probes, seed)
    product, space = deflation.product, deflation.space
    sketched = space.norms(deflation.sketched_images).square().sum().item()
    if deflation.num_left == 0:
        return Estimate(math.sqrt(sketched), num_products=product.count)
    images = product(deflation.probes())
    gram = space.gram(images, images)
    squares = gram.diagonal()
    norm = math.sqrt(sketched + squares.mean().item())
    if norm == 0:
        return Estimate(0.0, num_products=product.count)
    n, d = deflation.num_left, deflation.dim_left
    pairs = (gram.square().sum() - squares.square().sum()).item() / (n * (n - 1))
    expected = 2 / (d + 2) * (d * pairs - squares.mean().item() ** 2)
    stderr = math.sqrt(max(expected, squares.var().item()) / n) / (2 * norm)
    rounding = 10 * torch.finfo(space.dtype).eps * norm
    return Estimate(norm, math.hypot(stderr, rounding), n - 1, product.count)
