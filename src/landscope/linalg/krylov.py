"""Krylov subspaces with full reorthogonalisation, of one vector or a block."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from landscope.linalg.product import CountedProduct
from landscope.linalg.space import orthogonalise


class KrylovSubspace:
    """An orthonormal basis [Q W] with AQ = [Q W]H, grown by products with A.

    Q spans what A was applied to; W is *pending*: the part of AQ outside of Q, to which A is
    applied next. H is kept whole in float64, so its upper part is T = QᵀAQ and its lower part
    R = WᵀAQ. For one start vector T is tridiagonal; after a restart on Ritz vectors
    it is diagonal with one full row, and the same relation holds (thick restart: Wu & Simon 2000;
    Krylov–Schur: Stewart 2001).

    Parameters
    ----------
    product : CountedProduct
        The products with A.
    capacity : int
        The most vectors that Q and W hold together.
    """

    def __init__(self, product: CountedProduct, capacity: int):
        self.product = product
        self.space = product.space
        self.basis = product.space.basis(capacity)
        self.H = torch.zeros(0, 0, dtype=torch.float64)
        self.scale = 0.0  # the longest product so far, a lower bound of ‖A‖

    @property
    def size(self) -> int:
        """Dimension of Q."""
        return self.H.shape[1]

    @property
    def pending(self) -> int:
        """Number of vectors in W; 0 says that Q is invariant under A."""
        return self.basis.size - self.size

    @property
    def complete(self) -> bool:
        """Whether Q spans the whole space."""
        return self.size == self.space.dim

    @property
    def projected(self) -> Float64[Tensor, "n n"]:
        """T = QᵀAQ, symmetric."""
        T = self.H[: self.size]
        return (T + T.T) / 2

    @property
    def coupling(self) -> Float64[Tensor, "w n"]:
        """R = WᵀAQ: ‖Rs‖ is the residual ‖Ax − θx‖ of a Ritz pair (θ, x = Qs)."""
        return self.H[self.size :]

    def add(self, block: Float[Tensor, "D b"]) -> None:
        """Add to W what is new in a block of start vectors, each of length about one."""
        self._extend(block, scale=1.0)
        self.H = _pad_rows(self.H, self.basis.size)

    def turn(self, directions: Float64[Tensor, "w b"]) -> Float64[Tensor, "w w"]:
        """Turn W ← WU so that its first b vectors span given orthonormal directions; give U."""
        turned = torch.linalg.qr(directions, mode="complete").Q
        self.basis.rotate(turned, start=self.size)
        self.H[self.size :] = turned.T @ self.H[self.size :]
        return turned

    def expand(self, count: int | None = None) -> None:
        """Apply A to the first vectors of W (by default to all), and move them into Q.

        What of their images is outside of [Q W] is appended to W.
        """
        count = self.pending if count is None else count
        self.absorb(*self.product.measured(self.basis.block(self.size, self.size + count)))

    def absorb(self, images: Float[Tensor, "D b"], lengths: Float64[Tensor, " b"]) -> None:
        """Expand by products of A with the first vectors of W that are known already."""
        self.scale = max(self.scale, lengths.max().item())
        columns = self._extend(images, self.scale, self.coupling[: images.shape[1]])
        self.H = torch.cat([_pad_rows(self.H, self.basis.size), columns], dim=1)

    def restart(self, vectors: Float64[Tensor, "n p"], num_pending: int | None = None) -> None:
        """Shrink Q to combinations QS with STS diagonal, S orthonormal; of W keep the first."""
        kept = self.pending if num_pending is None else num_pending
        T, R = vectors.T @ self.projected @ vectors, self.coupling[:kept] @ vectors
        rotation = torch.zeros(self.basis.size, vectors.shape[1] + kept, dtype=torch.float64)
        rotation[: self.size, : vectors.shape[1]] = vectors
        rotation[self.size :][:kept, vectors.shape[1] :] = torch.eye(kept, dtype=torch.float64)
        self.basis.rotate(rotation)
        self.H = torch.cat([T, R])

    def _extend(
        self,
        block: Float[Tensor, "D b"],
        scale: float,
        expected: Float64[Tensor, "b q"] | None = None,
    ) -> Float64[Tensor, "n b"]:
        """Append what is new in a block X beside rounding at a scale; give C with X = [Q W]C.

        By symmetry QᵀAW = Rᵀ is known before it is computed: ``expected`` holds it.
        """
        columns = []
        negligible = 10 * torch.finfo(self.space.dtype).eps * scale
        for i, vector in enumerate(block.T):
            known = None if expected is None else expected[i]
            rest, column, norm = orthogonalise(vector, self.basis, self.space, negligible, known)
            if norm > 0 and self.basis.size < self.space.dim:
                self.basis.append(rest / norm)
                column = torch.cat([column, column.new_tensor([norm])])
            columns.append(column)
        padded = [_pad_rows(column[:, None], self.basis.size) for column in columns]
        return torch.cat(padded, dim=1)


def _pad_rows(matrix: Float64[Tensor, "n b"], rows: int) -> Float64[Tensor, "m b"]:
    return torch.cat([matrix, matrix.new_zeros(rows - matrix.shape[0], matrix.shape[1])])
