"""Frobenius norm of a symmetric operator, from a sketch of its range and probes of the rest."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from landscope import arguments as check
from landscope.linalg.deflation import Deflation
from landscope.linalg.estimate import Estimate
from landscope.linalg.normalised_product import NormalisedProduct
from landscope.linalg.product import CountedProduct
from landscope.linalg.stopping import checked_spending, spend


def frobenius_norm(
    A: Any, num_probes: int | None = None, seed: int = 0, rtol: float | None = None
) -> Estimate:
    r"""Estimate the Frobenius norm of a symmetric operator.

    Parameters
    ----------
    A : operator of shape (D, D)
        Symmetric; anything with ``@``, ``shape``, ``dtype`` and ``device``.
    num_probes : int, optional
        Products to spend, 30 by default, at least 2. From D products on, the norm is exact. With
        ``rtol``, the most to spend; by default 1000, or what D products take after probes where D
        is no larger.
    seed : int
        Seed of the sketch and the probes.
    rtol : float, optional
        Spend products until the standard error is at most ``rtol`` times the value, which is exact
        once that would take D products; see `trace`.

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
    num_probes, seed = checked_spending(num_probes, rtol, fewest=2), check.seed(seed)
    return spend(_DeflatedNorm(NormalisedProduct(A), seed), num_probes, rtol)


class _DeflatedNorm:
    """A sketch from a third of the first products, then probes of the rest."""

    def __init__(self, product: CountedProduct, seed: int):
        self.product = product
        self.seed = seed
        self.deflation: Deflation | None = None
        self.images: Float[Tensor, "D n"] = product.space.basis(0).block(0, 0)

    def add(self, count: int) -> None:
        if self.deflation is None:
            rank = (count - 2) // 3
            self.deflation = Deflation(self.product, rank, self.seed)
            count -= 2 * rank
        images = self.product(self.deflation.probes(count))
        self.images = torch.cat([self.images, images], dim=1)

    def estimate(self) -> Estimate:
        assert self.deflation is not None
        space = self.product.space
        sketched = space.norms(self.deflation.sketched_images).square().sum().item()
        gram = space.gram(self.images, self.images)
        squares = gram.diagonal()
        norm = math.sqrt(sketched + squares.mean().item())
        if norm == 0:
            return Estimate(0.0, num_products=self.product.count)
        n, d = len(squares), self.deflation.dim_left
        pairs = (gram.square().sum() - squares.square().sum()).item() / (n * (n - 1))
        expected = 2 / (d + 2) * (d * pairs - squares.mean().item() ** 2)
        stderr = math.sqrt(max(expected, squares.var().item()) / n) / (2 * norm)
        rounding = 10 * torch.finfo(space.dtype).eps * norm
        stderr = math.hypot(stderr, rounding)
        return Estimate(norm, stderr, n - 1, self.product.count).scaled(self.product.unit)

    def exact(self) -> Estimate:
        space = self.product.space
        norm = space.norms(self.product(space.identity())).norm()
        return Estimate(norm, num_products=self.product.count).scaled(self.product.unit)
