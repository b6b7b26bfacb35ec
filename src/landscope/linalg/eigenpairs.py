"""Eigenpairs: the result, and how it is read off a subspace with known products."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from landscope.linalg.ends import Which, by_preference
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
        Whether every residual is at most tol·|λ|max.
    num_products : int
        Number of vectors that A was applied to.
    """

    values: Float64[Tensor, " k"]
    vectors: Float[Tensor, "D k"]
    residuals: Float64[Tensor, " k"]
    converged: bool
    num_products: int


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
    values, rotation = torch.linalg.eigh((T + T.T) / 2)
    largest = max(largest, values.abs().max().item())
    chosen = by_preference(values, which)[:k]
    if which == "BE":
        chosen = chosen[values[chosen].argsort(descending=True)]
    values, rotation = values[chosen], rotation[:, chosen].to(X)
    vectors, images = X @ rotation, AX @ rotation
    residuals = space.norms(images - vectors * values.to(X))
    converged = bool(residuals.max() <= tol * largest)
    signs = space.signs(vectors)
    return Eigenpairs(values, vectors * signs, residuals, converged, product.count), images * signs
