"""A basis of given vectors: top eigenvectors, centroids, a path of training."""

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.hyperplanes.dense import DenseBasis, orthonormal
from landscope.linalg import DenseSpace

_TOLERANCE = 1e-3


def given_basis(
    vectors: Float[Tensor, "D d"],
    *,
    orthonormalise: bool = False,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> DenseBasis:
    """Make a basis of given columns.

    Parameters
    ----------
    vectors : Tensor of shape (D, d)
        Orthonormal columns, to 1e-3, or any independent ones with `orthonormalise`.
    orthonormalise : bool
        Take an orthonormal basis of their span, the first of them first.
    dtype, device
        Of the basis; those of the vectors if absent.

    Returns
    -------
    DenseBasis
        Its bound on ‖PᵀP − I‖₂ is what was found.

    Raises
    ------
    ValueError
        For vectors that are not orthonormal, dependent, or not finite.

    Examples
    --------
    >>> given_basis(torch.tensor([[2.0, 1.0], [0.0, 1.0], [0.0, 0.0]]), orthonormalise=True)
    DenseBasis(3 × 2)
    """
    if not isinstance(vectors, Tensor) or vectors.ndim != 2 or not vectors.shape[1] >= 1:
        came = tuple(vectors.shape) if isinstance(vectors, Tensor) else type(vectors).__name__
        raise ValueError(f"vectors is {came}; it must be a tensor of shape (D, d), columns of P")
    if vectors.shape[1] > vectors.shape[0]:
        raise ValueError(
            f"vectors has shape {tuple(vectors.shape)}; there can be no more columns than the "
            f"{vectors.shape[0]} parameters"
        )
    vectors = vectors.detach().to(device or vectors.device, dtype or vectors.dtype, copy=True)
    if not bool(vectors.isfinite().all()):
        raise ValueError("vectors hold NaN or infinity; they must be finite")
    if orthonormalise:
        vectors = _independent(vectors)
    gram = DenseSpace(len(vectors), vectors.dtype, vectors.device).gram(vectors, vectors)
    deviation = gram - torch.eye(vectors.shape[1], dtype=torch.float64)
    worst = float(deviation.abs().max())
    if worst > _TOLERANCE:
        row, column = divmod(int(deviation.abs().argmax()), vectors.shape[1])
        raise ValueError(
            f"vectors are not orthonormal: columns {row} and {column} have the inner product "
            f"{float(deviation[row, column]) + (row == column):.3g}; "
            "orthonormalise=True takes an orthonormal basis of their span"
        )
    bound = float(torch.linalg.matrix_norm(deviation, 2)) + torch.finfo(vectors.dtype).eps
    return DenseBasis(vectors, bound)


def _independent(vectors: Float[Tensor, "D d"]) -> Float[Tensor, "D d"]:
    """An orthonormal basis of their span; refused where one lies in that of those before it."""
    Q, R = orthonormal(vectors)
    rounding = 100 * torch.finfo(vectors.dtype).eps * torch.linalg.vector_norm(R, dim=0)
    dependent = (R.diagonal() <= rounding).nonzero()
    if len(dependent):
        raise ValueError(
            f"vectors are linearly dependent: column {int(dependent[0, 0])} lies in the span of "
            "those before it; leave it out"
        )
    return Q
