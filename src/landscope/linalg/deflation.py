"""Split a space into the range that an operator was sketched on, and the rest for random probes."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.linalg.lanczos import KrylovSubspace
from landscope.linalg.product import CountedProduct


class DeflatedProduct(CountedProduct):
    """V ↦ PAPV with P = I − QQᵀ: an operator without the range of an orthonormal Q.

    Parameters
    ----------
    A : operator of shape (D, D)
        Symmetric.
    basis : Tensor of shape (D, r)
        Q.
    """

    def __init__(self, A: Any, basis: Float[Tensor, "D r"]):
        super().__init__(A)
        self.basis = basis

    def __call__(self, block: Float[Tensor, "D b"]) -> Float[Tensor, "D b"]:
        """Give PAV for a block orthogonal to Q."""
        return self.rest(super().__call__(block))

    def rest(self, block: Float[Tensor, "D b"]) -> Float[Tensor, "D b"]:
        """Give what of a block is orthogonal to Q."""
        if self.basis.shape[1] == 0:
            return block
        return block - self.basis @ self.space.gram(self.basis, block).to(block)


class Deflation:
    """An orthonormal basis Q of a sketched range AΩ, its images AQ, and probes orthogonal to it.

    Large eigenvalues make the error of random probes large and its distribution skewed. Q holds
    most of them, so what depends on AQ is computed exactly, and only the rest by probes (Hutch++:
    Meyer, Musco, Musco & Woodruff 2021, arXiv:2010.09649). Q is independent of the probes, so
    estimates stay unbiased.

    Parameters
    ----------
    A : operator of shape (D, D)
        Symmetric.
    num_probes : int
        Products to spend, at least 2: a third on AΩ, a third on AQ, the rest on probes. From D
        products on, Q is the whole space and nothing is left to probe.
    seed : int
        Seed of the sketch and the probes.

    Attributes
    ----------
    sketched : Tensor of shape (D, r)
        Q.
    sketched_images : Tensor of shape (D, r)
        AQ.
    num_left : int
        Number of probes of the rest.
    dim_left : int
        Dimension d = D − r of the rest.
    """

    def __init__(self, A: Any, num_probes: int, seed: int):
        if num_probes < 2:
            raise ValueError(f"num_probes must be at least 2, got {num_probes}")
        self.product = CountedProduct(A)
        self.space = self.product.space
        self._generator = torch.Generator().manual_seed(seed)
        whole = self.space.dim <= num_probes
        rank = self.space.dim if whole else (num_probes - 2) // 3
        self.num_left = 0 if whole else num_probes - 2 * rank
        self.sketched = self.space.identity() if whole else self._sketch(rank)
        self.dim_left = self.space.dim - self.sketched.shape[1]
        if self.sketched.shape[1]:
            self.sketched_images = self.product(self.sketched)
        else:
            self.sketched_images = self.sketched

    def _sketch(self, rank: int) -> Float[Tensor, "D r"]:
        krylov = KrylovSubspace(self.product, 2 * rank)
        if rank:
            images = self.product(self.space.random(rank, self._generator))
            lengths = self.space.norms(images)
            tiny = torch.finfo(self.space.dtype).tiny
            krylov.add(images / lengths.max().clamp_min(tiny).to(images))
        return krylov.basis.block(0, krylov.basis.size)

    def probes(self) -> Float[Tensor, "D n"]:
        """Give vectors orthogonal to Q, uniform on the sphere of radius √d."""
        vectors = self.rest(self.space.random(self.num_left, self._generator))
        lengths = self.space.norms(vectors)
        return vectors * (self.dim_left**0.5 / lengths).to(vectors)

    def rest(self, block: Float[Tensor, "D n"]) -> Float[Tensor, "D n"]:
        """Give what of a block is orthogonal to Q."""
        return block - self.sketched @ self.space.gram(self.sketched, block).to(block)
