"""Split a space into a range that is treated exactly, and the rest for random probes."""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from landscope.linalg.krylov import KrylovSubspace
from landscope.linalg.normalised_product import NormalisedProduct
from landscope.linalg.product import CountedProduct


class DeflatedProduct(NormalisedProduct):
    """V ↦ PAPV/c with P = I − QQᵀ: an operator without the range of an orthonormal Q.

    Parameters
    ----------
    A : operator of shape (D, D)
        Symmetric.
    basis : Tensor of shape (D, r)
        Q.
    storage : {"device", "host", "disk"} or Path
        Where Krylov bases are kept.
    """

    def __init__(self, A: Any, basis: Float[Tensor, "D r"], storage: str | Path = "device"):
        super().__init__(A, storage)
        self.basis = basis

    def measured(
        self, block: Float[Tensor, "D b"]
    ) -> tuple[Float[Tensor, "D b"], Float64[Tensor, " b"]]:
        """Give PAV/c and the length of each product, for a block orthogonal to Q."""
        images, lengths = super().measured(block)
        if self.basis.shape[1] == 0:
            return images, lengths
        images = self.rest(images)
        return images, self.space.norms(images)

    def rest(self, block: Float[Tensor, "D b"]) -> Float[Tensor, "D b"]:
        """Give what of a block is orthogonal to Q."""
        return rest_of(self, block, self.basis)


class Deflation:
    """An orthonormal basis Q of a sketched range AΩ, its images AQ, and probes orthogonal to it.

    Large eigenvalues make the error of random probes large and its distribution skewed. Q holds
    most of them, so what depends on AQ is computed exactly, and only the rest by probes (Hutch++:
    Meyer, Musco, Musco & Woodruff 2021, arXiv:2010.09649). Q is independent of the probes, so
    estimates stay unbiased.

    Parameters
    ----------
    product : CountedProduct
        The products with a symmetric A.
    rank : int
        Vectors in the sketch; each takes a product for AΩ and one for AQ.
    seed : int
        Seed of the sketch and the probes.

    Attributes
    ----------
    sketched : Tensor of shape (D, r)
        Q; r is less than the rank asked for where that of A is.
    sketched_images : Tensor of shape (D, r)
        AQ.
    dim_left : int
        Dimension d = D − r of the rest.
    """

    def __init__(self, product: CountedProduct, rank: int, seed: int):
        self.product = product
        self.space = product.space
        self._generator = torch.Generator().manual_seed(seed)
        self.sketched = self.space.basis(0).block(0, 0)
        if rank:
            sketch = product(self.space.random(rank, self._generator))
            self.sketched = orthonormal_rest(product, sketch, self.sketched)
        any_left = self.sketched.shape[1] > 0
        self.sketched_images = product(self.sketched) if any_left else self.sketched
        self.dim_left = self.space.dim - self.sketched.shape[1]

    def probes(self, count: int) -> Float[Tensor, "D n"]:
        """Give vectors orthogonal to Q, uniform on the sphere of radius √d."""
        vectors = self.rest(self.space.random(count, self._generator))
        lengths = self.space.norms(vectors)
        return vectors * (self.dim_left**0.5 / lengths).to(vectors)

    def signs(self, count: int) -> Float[Tensor, "D n"]:
        """Give vectors with entries ±1."""
        numbers = self.space.random(count, self._generator)
        return torch.where(numbers < 0, -torch.ones_like(numbers), torch.ones_like(numbers))

    def rest(self, block: Float[Tensor, "D n"]) -> Float[Tensor, "D n"]:
        """Give what of a block is orthogonal to Q."""
        return rest_of(self.product, block, self.sketched)


def rest_of(
    product: CountedProduct, block: Float[Tensor, "D b"], basis: Float[Tensor, "D r"]
) -> Float[Tensor, "D b"]:
    """X − QQᵀX."""
    if basis.shape[1] == 0:
        return block
    return block - basis @ product.space.gram(basis, block).to(block)


def orthonormal_rest(
    product: CountedProduct, block: Float[Tensor, "D b"], basis: Float[Tensor, "D r"]
) -> Float[Tensor, "D n"]:
    """Orthonormal vectors that together with Q span Q and a block, n ≤ b."""
    lengths = product.space.norms(block)
    longest = lengths.max().clamp_min(torch.finfo(product.space.dtype).tiny).to(block)
    krylov = KrylovSubspace(product, block.shape[1])
    for column in rest_of(product, block / longest, basis).split(1, dim=1):
        krylov.add(rest_of(product, column, basis))
    return rest_of(product, krylov.basis.block(0, krylov.basis.size), basis)
