"""A random basis of a kind, from its seed."""

import torch

from landscope.arguments import whole
from landscope.hyperplanes.basis import Basis
from landscope.hyperplanes.dense import bytes_to_make, random_orthonormal
from landscope.hyperplanes.fastfood import FastfoodBasis
from landscope.hyperplanes.gaussian import GaussianBasis
from landscope.hyperplanes.kind import BasisKind, random_kind
from landscope.hyperplanes.sparse import SparseBasis
from landscope.products.batch_sum import free_bytes

_DRAWS = {
    BasisKind.DENSE: random_orthonormal,
    BasisKind.GAUSSIAN: GaussianBasis,
    BasisKind.SPARSE: SparseBasis,
    BasisKind.FASTFOOD: FastfoodBasis,
}


def draw_basis(
    kind: BasisKind | str,
    num_params: int,
    dim: int,
    seed: int,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Basis:
    """Draw a random basis P (D × d).

    Parameters
    ----------
    kind : BasisKind or str
        Any but "given".
    num_params, dim : int
        D and d.
    seed : int
        The same seed gives the same hyperplane on every device and, up to rounding, in any dtype.
    dtype, device
        Of the vectors that it takes and gives.

    Returns
    -------
    Basis

    Raises
    ------
    ValueError
        For d outside 1 to D, or a dense basis that does not fit in free memory.

    Examples
    --------
    >>> draw_basis(BasisKind.SPARSE, 1000, 10, seed=0)
    SparseBasis(1,000 × 10)
    """
    kind = random_kind(kind)
    device = torch.empty(0, device=device).device  # "cuda" says which
    dim = whole("dim", dim, 1, num_params, "D")
    needed = bytes_to_make(num_params, dim, dtype)
    if kind is BasisKind.DENSE and needed > free_bytes(device):
        raise ValueError(
            f"dim is {dim:,}; a dense basis of {num_params:,} × {dim:,} takes "
            f"{needed / 2**30:.1f} GiB to make, more than is free: take the kind fastfood"
        )
    return _DRAWS[kind](num_params, dim, seed, dtype, device)
