"""A sparse basis: each weight follows one coordinate of θ, with a random sign."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from landscope.hyperplanes.basis import Basis, rounding, wide
from landscope.hyperplanes.seeding import generator_of

_ENTRIES_AT_ONCE = 2**22


class SparseBasis(Basis):
    """Columns on disjoint sets of weights, ±1/√n on the n weights of each: exactly orthonormal.

    Parameters
    ----------
    num_params, dim : int
        D and d. Sets are drawn at random and differ by at most one in size.
    seed : int
        Of sets and signs.
    dtype, device
        Of P.

    Notes
    -----
    The transpose of a count sketch. In a random order of the weights, the p-th belongs to column
    p mod d: sums over a set are then sums over rows of d consecutive numbers, with no scattered
    addition, whose order a GPU would not keep.

    Examples
    --------
    >>> P = SparseBasis(6, 2, seed=0, dtype=torch.float64, device=torch.device("cpu")).to_dense()
    >>> (P != 0).sum(1).tolist(), (P.T @ P).round(decimals=12).tolist()
    ([1, 1, 1, 1, 1, 1], [[1.0, 0.0], [0.0, 1.0]])
    """

    def __init__(
        self, num_params: int, dim: int, seed: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__((num_params, dim), dtype, device)
        generator = generator_of(seed)
        number = torch.int32 if num_params < 2**31 else torch.int64
        self._order = torch.randperm(num_params, generator=generator, dtype=number).to(device)
        signs = torch.randint(0, 2, (num_params,), generator=generator, dtype=torch.int8)
        self._signs = signs.mul_(2).sub_(1).to(device)
        whole, left = divmod(num_params, dim)
        self._sizes = torch.full((dim,), whole, dtype=torch.float64, device=device)
        self._sizes[:left] += 1
        self.orthonormality_bound = rounding(dtype)

    def matmat(self, V: Float[Tensor, "n k"]) -> Float[Tensor, "m k"]:
        """P Θ."""
        D, d = self.shape
        values = (V / self._sizes.sqrt()[:, None]).to(self.dtype)
        out = torch.empty(D, V.shape[1], dtype=self.dtype, device=self.device)
        for places in self._stretches():
            count = places.stop - places.start
            tiled = values.repeat(-(-count // d), 1)[:count] * self._signs[places, None]
            out.index_copy_(0, self._order[places].long(), tiled)
        return out

    def rmatmat(self, U: Float[Tensor, "m k"]) -> Float[Tensor, "n k"]:
        """Pᵀ U."""
        d, k = self.shape[1], U.shape[1]
        sums = torch.zeros(d, k, dtype=wide(self.device, self.dtype), device=self.device)
        for places in self._stretches():
            signed = _rows(U, self._order[places]).mul_(self._signs[places, None])
            whole = len(signed) // d * d
            sums += signed[:whole].view(-1, d, k).sum(0, dtype=sums.dtype)
            sums[: len(signed) - whole] += signed[whole:]
        return (sums / self._sizes.sqrt()[:, None]).to(self.dtype)

    def _stretches(self) -> list[slice]:
        """Places in the random order, so many whole rows of d at a time."""
        D, d = self.shape
        step = max(_ENTRIES_AT_ONCE // d, 1) * d
        return [slice(start, min(start + step, D)) for start in range(0, D, step)]


def _rows(U: Float[Tensor, "m k"], order: Int[Tensor, " b"]) -> Float[Tensor, "b k"]:
    """U[order]; of a single column as of a vector, for torch copies rows one by one."""
    if U.shape[1] == 1:
        return U[:, 0].index_select(0, order)[:, None]
    return U.index_select(0, order)
