"""Lanczos iteration: an operator projected on the Krylov space of one vector."""

from jaxtyping import Float, Float64
from torch import Tensor

from landscope.linalg.checkpoint import Checkpoint
from landscope.linalg.krylov import KrylovSubspace
from landscope.linalg.product import CountedProduct


def tridiagonalise(
    product: CountedProduct,
    start: Float[Tensor, "D 1"],
    num_steps: int,
    checkpoint: Checkpoint | None = None,
) -> Float64[Tensor, "n n"]:
    """Project A on the Krylov space of one vector: T = QᵀAQ, tridiagonal.

    Parameters
    ----------
    product : CountedProduct
        The products with A.
    start : Tensor of shape (D, 1)
        The start vector, of any length.
    num_steps : int
        Number of products; fewer are made where the Krylov space is exhausted.
    checkpoint : Checkpoint, optional
        A file to go on from and to keep up; it is left in place at the end.

    Returns
    -------
    Tensor of shape (n, n)
        T in float64, n ≤ num_steps. Its eigenvalues are the Ritz values, the squared first
        components of its eigenvectors the weights of the Gauss quadrature.
    """
    krylov = KrylovSubspace(product, min(num_steps, product.space.dim) + 1)
    if not (checkpoint and checkpoint.restore(krylov)):
        krylov.add(start / product.space.norms(start).item())
    while krylov.pending and krylov.size < num_steps:
        krylov.expand()
        if checkpoint:
            checkpoint.save_if_due(krylov)
    return krylov.projected
