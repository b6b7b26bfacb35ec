"""Vectors that every process holds whole."""

import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from landscope.distributed import Ranks
from landscope.identity import tensor_digest
from landscope.linalg.space import DenseSpace


class ReplicatedSpace(DenseSpace):
    """R^D whole on each of several processes, for products that they compute together.

    Rounding may differ between processes, and what they decide must not: an inner product is what
    rank 0 makes of it, and a basis keeps rank 0's vectors, so that what is left after a
    cancellation is the same everywhere.

    Parameters
    ----------
    dim, dtype, device
        As for `DenseSpace`.
    ranks : Ranks
        The processes.
    """

    def __init__(
        self, dim: int, dtype: torch.dtype, device: torch.device | str, ranks: Ranks
    ) -> None:
        super().__init__(dim, dtype, device)
        self.ranks = ranks

    def agreed(self, small: Float64[Tensor, "*n"]) -> Float64[Tensor, "*n"]:
        """What rank 0 has."""
        return self.ranks.first(small.to(self.device)).cpu()

    def kept(self, vector: Float[Tensor, " D"]) -> Float[Tensor, " D"]:
        """Rank 0's."""
        return self.ranks.first(vector)

    def all_finite(self, block: Float[Tensor, "D b"]) -> bool:
        """Whether rank 0 finds no entry that is NaN or infinite."""
        mine = torch.tensor(float(super().all_finite(block)), dtype=torch.float64)
        return bool(self.agreed(mine))

    def digest(self, block: Shaped[Tensor, "D *b"]) -> str:
        """Rank 0's."""
        return str(self.ranks.objects(lambda: tensor_digest(block))[0])
