"""Eigenpairs: the result, and how it is read off a subspace with known products."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from landscope.linalg.ends import Margins, Which, by_preference, span
from landscope.linalg.product import CountedProduct


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenvalues and eigenvectors, with their residuals.

    Attributes
    ----------
    values : Tensor of shape (k,)
        Eigenvalues λ in float64 on the CPU, in the order that ``which`` names.
    vectors : Tensor of shape (D, k)
        Eigenvectors v of length one in the operator's dtype, the entry of largest magnitude
        positive.
    residuals : Tensor of shape (k,)
        ‖Av − λv‖ in float64: within this distance of each λ lies an eigenvalue of A.
    converged : bool
        Whether every residual is at most tol·|λ|max, and the search for missed copies of the wanted
        eigenvalues has ended.
    num_products : int
        Number of vectors that A was applied to.
    rest : tuple of float
        No eigenvalue was missed outside of these two, with the confidence of the search (see
        `landscope.linalg.missed`): all that are not among ``values`` lie between them, wanted ones
        between them may have copies that were not found. Infinite where nothing was ruled out.
    """

    values: Float64[Tensor, " k"]
    vectors: Float[Tensor, "D k"]
    residuals: Float64[Tensor, " k"]
    converged: bool
    num_products: int
    rest: tuple[float, float] = (-math.inf, math.inf)

    def scaled(self, factor: float) -> "Eigenpairs":
        """The eigenpairs of A times a positive factor."""
        low, high = self.rest
        return replace(
            self,
            values=factor * self.values,
            residuals=factor * self.residuals,
            rest=(factor * low, factor * high),
        )


def rayleigh_ritz(
    product: CountedProduct,
    X: Float[Tensor, "D n"],
    AX: Float[Tensor, "D n"],
    k: int,
    which: Which,
    tol: float,
    largest: float = 0.0,
) -> tuple[Eigenpairs, Float[Tensor, "D k"]]:
    """Eigenpairs from orthonormal X and explicit products AX; and the products AV."""
    space = product.space
    T = space.gram(X, AX)
    all_values, rotation = torch.linalg.eigh((T + T.T) / 2)
    largest = max(largest, all_values.abs().max().item())
    order = by_preference(all_values, which)
    chosen = order[:k]
    if which == "BE":
        chosen = chosen[all_values[chosen].argsort(descending=True)]
    values, rotation = all_values[chosen], rotation[:, chosen].to(X)
    vectors, images = X @ rotation, AX @ rotation
    residuals = space.norms(images - vectors * values.to(X))
    converged = bool(residuals.max() <= tol * largest)
    signs = space.signs(vectors)
    whole = len(order) == space.dim
    rest = span(all_values[order[k:]]) if whole else Margins(-math.inf, math.inf)
    pairs = Eigenpairs(values, vectors * signs, residuals, converged, product.count, rest)
    return pairs, images * signs
