"""A basis that is kept as a matrix: drawn uniformly over all hyperplanes, or given."""

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.hyperplanes.basis import Basis, rounding
from landscope.hyperplanes.seeding import generator_of
from landscope.linalg.space import inner_products

TALL = 4
"""From so many times d on, D × d Gaussian numbers have a condition of at most 3: XᵀX will do."""

_COLUMNS_AT_ONCE = 2**14


class DenseBasis(Basis):
    """P as a matrix in memory.

    Parameters
    ----------
    vectors : Tensor of shape (D, d)
        Its columns.
    orthonormality_bound : float
        What is known of ‖PᵀP − I‖₂.

    Examples
    --------
    >>> P = DenseBasis(torch.eye(3)[:, :2], 0.0)
    >>> P @ torch.tensor([1.0, 2.0]), P.T @ torch.tensor([1.0, 2.0, 3.0])
    (tensor([1., 2., 0.]), tensor([1., 2.]))
    """

    def __init__(self, vectors: Float[Tensor, "D d"], orthonormality_bound: float) -> None:
        num_params, dim = vectors.shape
        super().__init__((num_params, dim), vectors.dtype, vectors.device)
        self._rows = vectors.T.contiguous()
        self.orthonormality_bound = orthonormality_bound

    def matmat(self, V: Float[Tensor, "n k"]) -> Float[Tensor, "m k"]:
        """P Θ."""
        return self._rows.T @ V

    def rmatmat(self, U: Float[Tensor, "m k"]) -> Float[Tensor, "n k"]:
        """Pᵀ U."""
        return inner_products(self._rows, U).to(self.device, self.dtype)


def orthonormal(vectors: Float[Tensor, "D d"]) -> tuple[Float[Tensor, "D d"], Float[Tensor, "d d"]]:
    """Give Q of orthonormal columns and R of positive diagonal with vectors = QR."""
    Q, R = torch.linalg.qr(vectors)
    signs = torch.where(R.diagonal() < 0, -1.0, 1.0).to(R)
    Q = Q * signs
    # Householder reflections of float32 lose 1e-5 of a length at D = 10⁵.
    return Q / torch.linalg.vector_norm(Q, dim=0, dtype=torch.float64).to(Q), R * signs[:, None]


def random_orthonormal(
    num_params: int, dim: int, seed: int, dtype: torch.dtype, device: torch.device
) -> DenseBasis:
    """Draw P uniformly over all D × d matrices of orthonormal columns.

    Parameters
    ----------
    num_params, dim : int
        D and d ≤ D.
    seed : int
        Of the Gaussian matrix that is orthonormalised.
    dtype, device
        Of P.

    Examples
    --------
    >>> P = random_orthonormal(50, 3, 0, torch.float64, torch.device("cpu")).to_dense()
    >>> bool((P.T @ P - torch.eye(3)).abs().max() < 1e-12)
    True
    """
    generator = generator_of(seed)
    drawn = torch.randn(dim, num_params, generator=generator, dtype=torch.float32)
    rows = drawn.to(device, dtype)
    # With a positive diagonal of R, Q of a Gaussian matrix is uniform over all frames.
    vectors = _by_cholesky(rows).T if num_params >= TALL * dim else orthonormal(rows.T)[0]
    return DenseBasis(vectors, rounding(dtype))


def bytes_to_make(num_params: int, dim: int, dtype: torch.dtype) -> int:
    """Memory that drawing an orthonormal basis takes at its peak."""
    copies = 2 if num_params >= TALL * dim else 4
    return copies * num_params * dim * dtype.itemsize


def _by_cholesky(rows: Float[Tensor, "d D"]) -> Float[Tensor, "d D"]:
    """Orthonormalise well-conditioned rows in place: with XXᵀ = LLᵀ they are L⁻¹X."""
    gram = inner_products(rows, rows.T)
    L = torch.linalg.cholesky((gram + gram.T) / 2)
    inverse = torch.linalg.solve_triangular(L, torch.eye(len(L)).to(L), upper=False).to(rows)
    for some in rows.split(_COLUMNS_AT_ONCE, dim=1):
        some.copy_(inverse @ some)
    return rows
