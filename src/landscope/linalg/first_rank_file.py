"""A file that rank 0 keeps for vectors that all processes hold whole."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.linalg.replicated import ReplicatedSpace
from landscope.linalg.state_file import StateFile


class FirstRankFile(StateFile):
    """A `StateFile` that rank 0 alone writes and reads; the others hear of it from rank 0.

    Parameters
    ----------
    path : Path
        The file, where rank 0 sees it.
    space : ReplicatedSpace
        Of the vectors.
    """

    space: ReplicatedSpace

    def __init__(self, path: Path, space: ReplicatedSpace):
        super().__init__(path, space)
        self.ranks = space.ranks

    def agreed(self, due: bool) -> bool:
        """Whether it is time by rank 0's clock."""
        return bool(self.space.agreed(torch.tensor(float(due), dtype=torch.float64)))

    def begin(self) -> bool:
        """Find out that rank 0 can write the file, and whether it sees one."""
        return bool(self._by_first(super().begin))

    def read(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Arguments and small tensors; a ValueError on all processes where rank 0 has one."""
        arguments, small = self._by_first(super().read)
        return arguments, small

    def vector(self, name: str) -> Float[Tensor, " D"]:
        """One vector."""
        like = torch.zeros(self.space.dim, dtype=self.space.dtype, device=self.space.device)
        read = super().vector
        return self.ranks.sum(lambda: like if self.ranks.rank else read(name).to(like), like)

    def write(
        self,
        arguments: Mapping[str, Any],
        small: Mapping[str, Tensor],
        vectors: Mapping[str, Callable[[], Float[Tensor, " D"]]],
    ) -> None:
        """Write all anew, by rank 0."""
        write = super().write
        self._by_first(lambda: write(arguments, small, vectors))

    def remove(self) -> None:
        """Remove the file."""
        self._by_first(super().remove)

    def _by_first(self, act: Callable[[], Any]) -> Any:
        """What rank 0 finds, be it an unusable file."""

        def attempt() -> tuple[Any, ValueError | OSError | None]:
            try:
                return (act() if self.ranks.rank == 0 else None), None
            except (ValueError, OSError) as error:
                return None, error

        found, refused = self.ranks.objects(attempt)[0]
        if refused is not None:
            raise refused
        return found
