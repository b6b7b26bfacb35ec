"""Diagonal of a symmetric operator, from a sketch of its range and random signs for the rest."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from scipy.special import stdtrit
from torch import Tensor

from landscope import arguments as check
from landscope.linalg.deflation import Deflation
from landscope.linalg.normalised_product import NormalisedProduct
from landscope.linalg.space import space_of


@dataclass(frozen=True)
class Diagonal:
    """The diagonal of an operator, with an error for each entry.

    Attributes
    ----------
    values : Tensor of shape (D,)
        The entries A_ii, in the operator's dtype.
    stderr : Tensor of shape (D,)
        Their standard errors; 0 says that an entry is exact.
    dof : float
        Degrees of freedom of the standard errors (Student t); infinite where they are 0.
    num_products : int
        Number of vectors that A was applied to.
    """

    values: Float[Tensor, " D"]
    stderr: Float[Tensor, " D"]
    dof: float
    num_products: int

    def interval(self, level: float = 0.95) -> tuple[Float[Tensor, " D"], Float[Tensor, " D"]]:
        """Confidence interval of each entry by Student's t.

        Parameters
        ----------
        level : float
            The share of such intervals that cover the truth, in (0, 1).

        Returns
        -------
        tuple of Tensor of shape (D,)
            Lower and upper ends.
        """
        level = check.real("level", level, "(0, 1)")
        half = float(stdtrit(self.dof, 0.5 + level / 2)) * self.stderr
        return self.values - half, self.values + half


def diagonal(A: Any, num_probes: int = 30, seed: int = 0) -> Diagonal:
    r"""Estimate the diagonal of a symmetric operator without bias.

    Parameters
    ----------
    A : operator of shape (D, D)
        Symmetric; anything with ``@``, ``shape``, ``dtype`` and ``device``.
    num_probes : int
        Products to spend, at least 2. From D products on, the diagonal is exact.
    seed : int
        Seed of the sketch and the probes.

    Returns
    -------
    Diagonal
        ``.values .stderr .dof .num_products .interval(level)``.

    Notes
    -----
    With Q an orthonormal basis of the sketched range (a third of the products) and P = I − QQᵀ,

    .. math:: A = QQ^⊤A + AQQ^⊤ − QQ^⊤AQQ^⊤ + B, \qquad B = PAP.

    The diagonal of all but B follows from Q and AQ. That of B is the mean of v ∘ Bv over n probes v
    of entries ±1 (Bekas, Kokiopoulou & Saad 2007), each of variance Σ_{j≠i} B_ij² in entry i.

    Examples
    --------
    >>> import torch
    >>> A = torch.diag(torch.arange(1.0, 101.0)) + torch.ones(100, 100)
    >>> low, high = diagonal(A).interval(0.999)
    >>> bool(((low <= A.diagonal()) & (A.diagonal() <= high)).all())
    True
    >>> diagonal(A, num_probes=100).stderr.max().item()
    0.0
    """
    certain, samples, product = diagonal_samples(A, num_probes, seed)
    n = samples.shape[1]
    if n == 0:
        exact = torch.zeros_like(certain)
        return Diagonal(product.unit * certain, exact, math.inf, product.count)
    values = certain + samples.mean(dim=1)
    largest = space_of(A).extremes(values[:, None])[0].abs().to(values)
    rounding = 10 * torch.finfo(values.dtype).eps * largest
    stderr = torch.hypot(samples.std(dim=1) / math.sqrt(n), rounding)
    return Diagonal(product.unit * values, product.unit * stderr, float(n - 1), product.count)


def diagonal_samples(
    A: Any, num_probes: int, seed: int
) -> tuple[Float[Tensor, " D"], Float[Tensor, "D n"], NormalisedProduct]:
    """Part of the diagonal that is certain, samples of the rest, and the product they come from.

    Parameters
    ----------
    A : operator of shape (D, D)
        Symmetric.
    num_probes : int
        Products to spend, at least 2.
    seed : int
        Seed of the sketch and the probes.

    Returns
    -------
    certain : Tensor of shape (D,)
        diag(A − B), in units of ``product.unit``.
    samples : Tensor of shape (D, n)
        v ∘ Bv, of mean diag(B), one column for each probe; none where the diagonal is exact. In
        the same unit.
    product : NormalisedProduct
        With this unit, and the number of vectors that A was applied to.
    """
    num_probes, seed = check.whole("num_probes", num_probes, 2), check.seed(seed)
    product = NormalisedProduct(A)
    if product.space.dim <= num_probes:
        identity = product.space.identity()
        certain = (identity * product(identity)).sum(dim=1)
        return certain, identity[:, :0], product
    rank = (num_probes - 2) // 3
    deflation = Deflation(product, rank, seed)
    Q, AQ = deflation.sketched, deflation.sketched_images
    H = product.space.gram(Q, AQ).to(Q)
    certain = (Q * (2 * AQ - Q @ H)).sum(dim=1)
    signs = deflation.signs(num_probes - 2 * rank)
    samples = signs * deflation.rest(product(deflation.rest(signs)))
    return certain, samples, product
