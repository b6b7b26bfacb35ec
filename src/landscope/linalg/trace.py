"""Trace of a symmetric operator, from a sketch of its range and random probes of the rest."""

import math
from typing import Any

import torch

from landscope.linalg.deflation import Deflation
from landscope.linalg.estimate import Estimate


def trace(A: Any, num_probes: int = 30, seed: int = 0) -> Estimate:
    r"""Estimate the trace of a symmetric operator without bias.

    Parameters
    ----------
    A : operator of shape (D, D)
        Symmetric; anything with ``@``, ``shape``, ``dtype`` and ``device``.
    num_probes : int
        Products to spend, at least 2. From D products on, the trace is exact.
    seed : int
        Seed of the sketch and the probes.

    Returns
    -------
    Estimate
        tr A with its standard error; ``interval`` gives Student t intervals.

    Notes
    -----
    With Q an orthonormal basis of the sketched range (a third of the products),
    tr A = tr QᵀAQ + tr B with B = PAP, P = I − QQᵀ. The first part is exact; the second is the mean
    of vᵀBv over n probes v, uniform on the sphere of radius √d in the d-dimensional rest, whose
    variance is known,

    .. math:: \mathrm{Var}(v^⊤Bv) = \frac{2}{d+2}\left(d\,‖B‖_F^2 − (\mathrm{tr} B)^2\right),

    with ‖B‖_F² = E‖Bv‖² from the same products. That is steadier than the spread of n numbers. The
    degrees of freedom of the standard error are Satterthwaite's, from the spread of ‖Bv‖², and
    no fewer than n, their number for an operator of rank one.
    Hutch++: Meyer et al. 2021, arXiv:2010.09649.

    Examples
    --------
    >>> import torch
    >>> A = torch.diag(1 / torch.arange(1.0, 501.0, dtype=torch.float64))
    >>> estimate = trace(A)
    >>> low, high = estimate.interval(0.95)
    >>> low < A.trace().item() < high
    True
    >>> trace(A, num_probes=500).exact
    True
    """
    deflation = Deflation(A, num_probes, seed)
    product, space = deflation.product, deflation.space
    sketched = space.gram(deflation.sketched, deflation.sketched_images).trace().item()
    if deflation.num_left == 0:
        return Estimate(sketched, num_products=product.count)
    probes = deflation.probes()
    images = deflation.rest(product(probes))
    left = space.gram(probes, images).diagonal().mean().item()
    squares = space.norms(images).square()  # each ‖Bv‖², of mean ‖B‖_F²
    n, d, square = deflation.num_left, deflation.dim_left, squares.mean().item()
    variance = 2 / (d + 2) * max(d * square - left**2, 0.0) / n
    spread = squares.var().item()
    dof = max(2 * n * square**2 / spread, n) if spread > 1e-9 * square**2 else math.inf
    norm = math.hypot(space.norms(deflation.sketched_images).norm().item(), math.sqrt(square))
    value = sketched + left
    rounding = 10 * torch.finfo(space.dtype).eps * max(norm, abs(value))
    return Estimate(value, math.hypot(math.sqrt(variance), rounding), dof, product.count)
