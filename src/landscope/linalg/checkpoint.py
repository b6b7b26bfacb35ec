"""Krylov spaces in store, from which a killed iteration goes on."""

import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.linalg.first_rank_file import FirstRankFile
from landscope.linalg.krylov import KrylovSubspace
from landscope.linalg.product import CountedProduct
from landscope.linalg.replicated import ReplicatedSpace
from landscope.linalg.sharded import ShardedSpace
from landscope.linalg.space import VectorSpace
from landscope.linalg.state_file import StateFile

OPERATOR = "operator"
"""The argument that is an operator's fingerprint."""

SHARE_OF_TIME = 0.05  # that may go into writing


@runtime_checkable
class Store(Protocol):
    """Where arguments, small tensors and vectors are kept; all processes call it alike."""

    def agreed(self, due: bool) -> bool:
        """Whether all are to write, where each finds that it is time or not."""

    def begin(self) -> bool:
        """Find out that it can be written, and whether there is something to read."""

    def read(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Arguments and small tensors."""

    def vector(self, name: str) -> Float[Tensor, " D"]:
        """One vector, as far as it is held here."""

    def write(
        self,
        arguments: Mapping[str, Any],
        small: Mapping[str, Tensor],
        vectors: Mapping[str, Callable[[], Float[Tensor, " D"]]],
    ) -> None:
        """Write all anew; a process killed at any moment leaves the last whole state."""

    def remove(self) -> None:
        """Remove all."""

    def release(self) -> None:
        """Let other processes write there."""


def store_at(path: Path, space: VectorSpace) -> Store:
    """A folder where the space's vectors are spread over processes, a file where they are not."""
    if isinstance(space, ShardedSpace):
        from landscope.linalg.state_folder import StateFolder  # slow to import

        return StateFolder(path, space)
    if isinstance(space, ReplicatedSpace):
        return FirstRankFile(path, space)
    return StateFile(path, space)


def named_operator(A: Any) -> dict[str, str]:
    """The argument that says which operator an iteration is about, where A has a fingerprint."""
    said = getattr(A, "fingerprint", lambda: None)()
    return {} if said is None else {OPERATOR: str(said)}


class Checkpoint:
    """The state of Krylov iterations, kept where a killed process leaves the last whole one.

    Called again with the same arguments, the iteration goes on from there and takes the same steps;
    an operator that has a `fingerprint` is compared by it, and one product compares A with what was
    applied before. What is kept is removed when the
    iteration has finished.

    Parameters
    ----------
    path : str or Path
        A file; a folder where vectors are spread over processes.
    arguments : mapping of str to JSON values
        What must be the same when the iteration goes on.
    space : VectorSpace
        Of the vectors.

    Attributes
    ----------
    state : dict of str to Tensor
        What is kept beside the Krylov spaces: at first as it was found; written with each save.
    vectors : dict of str to Tensor of shape (D, k)
        The same, for vectors of the space.
    unrestored : bool
        Whether there are Krylov spaces that were not restored yet.

    Raises
    ------
    ValueError
        If what is there is damaged, or was written with other arguments.
    OSError
        If nothing can be written there.
    """

    def __init__(self, path: str | Path, arguments: Mapping[str, Any], space: VectorSpace):
        self.path = Path(path)
        if not self.path.name:
            raise ValueError(f"checkpoint is {str(path)!r}; name a file")
        self.arguments = json.loads(json.dumps(dict(arguments)))
        self.state: dict[str, Tensor] = {}
        self.vectors: dict[str, Tensor] = {}
        self._store = store_at(self.path, space)
        self._found: dict[str, Tensor] = {}
        self._written, self._duration = time.monotonic(), 0.0
        self.unrestored = self._store.begin()
        try:
            if self.unrestored:
                arguments, self._found = self._store.read()
                self._compare(arguments)
                self.require(self._found, "unit")
                self._recall()
        except BaseException:
            self._store.release()
            raise

    def restore(self, *spaces: KrylovSubspace) -> bool:
        """Fill empty Krylov spaces of one operator from what is kept, once; False without any.

        Raises
        ------
        ValueError
            If A gives another product than it did when they were written.
        """
        if not self.unrestored:
            return False
        self.unrestored = False
        for s, krylov in enumerate(spaces):
            krylov.H = self._found[f"{s}.H"]
            krylov.scale = self._found[f"{s}.scale"].item()
            krylov.product.count = int(self._found["count"])
            krylov.product.unit = self._found["unit"].item()
            for i in range(len(krylov.H)):
                krylov.basis.append(self._store.vector(f"{s}.q{i}"))
        self._compare_products(spaces[0])
        return True

    def save_if_due(self, *spaces: KrylovSubspace) -> None:
        """Write, but for at most a twentieth of the time that passes."""
        due = time.monotonic() - self._written >= self._duration / SHARE_OF_TIME
        if self._store.agreed(due):
            self.save(*spaces)

    def save(self, *spaces: KrylovSubspace) -> None:
        """Write Krylov spaces of one operator, ``state`` and ``vectors``."""
        started = time.monotonic()
        product = spaces[0].product
        small = {
            "count": torch.tensor(product.count),
            "unit": torch.tensor(product.unit, dtype=torch.float64),
        }
        vectors: dict[str, Callable[[], Tensor]] = {}
        for s, krylov in enumerate(spaces):
            small[f"{s}.H"] = krylov.H
            small[f"{s}.scale"] = torch.tensor(krylov.scale, dtype=torch.float64)
            for i in range(krylov.basis.size):
                vectors[f"{s}.q{i}"] = partial(_column, krylov.basis.block, i)
        small |= {f"state.{name}": tensor for name, tensor in self.state.items()}
        for name, block in self.vectors.items():
            small[f"vectors.{name}"] = torch.tensor(block.shape[1])
            for i, column in enumerate(block.T):
                vectors[f"{name}.{i}"] = partial(_itself, column)
        self._store.write(self.arguments, small, vectors)
        self._written = time.monotonic()
        self._duration = self._written - started

    def require(self, tensors: Mapping[str, Tensor], *names: str) -> None:
        """Find tensors that each version since some writes.

        Raises
        ------
        ValueError
            If one is missing.
        """
        if missing := [name for name in names if name not in tensors]:
            raise ValueError(
                f"checkpoint {self.path} was written by an older version, without "
                f"{', '.join(missing)}: remove the file or name another"
            )

    def remove(self) -> None:
        """Remove what is kept: the iteration has finished."""
        self._store.remove()
        self._store.release()

    def _recall(self) -> None:
        for key, tensor in self._found.items():
            kind, _, name = key.partition(".")
            if kind == "state":
                self.state[name] = tensor
            elif kind == "vectors":
                columns = [self._store.vector(f"{name}.{i}") for i in range(int(tensor))]
                self.vectors[name] = torch.stack(columns).T

    def _compare(self, written: dict[str, Any]) -> None:
        for name in self.arguments | written:
            before, now = written.get(name), self.arguments.get(name)
            if before != now and name == OPERATOR:
                why = (
                    "belongs to another operator, of another model, loss, data or weights"
                    if before and now
                    else "does not say of which operator, as those written before fingerprints"
                )
                raise ValueError(f"checkpoint {self.path} {why}: remove the file or name another")
            if before != now:
                raise ValueError(
                    f"checkpoint {self.path} was written with {name} = {before}, this call has "
                    f"{now}: remove the file or name another"
                )

    def _compare_products(self, krylov: KrylovSubspace) -> None:
        """Apply A to the mean of Q, and compare with AQ = [Q W]H."""
        mean = torch.full((krylov.size, 1), krylov.size**-0.5, dtype=torch.float64)
        padded = torch.nn.functional.pad(mean, (0, 0, 0, krylov.pending))
        self.compare_product(
            krylov.product,
            krylov.basis.combine(padded),
            krylov.basis.combine(krylov.H @ mean),
            1000 * torch.finfo(krylov.space.dtype).eps * krylov.scale,
        )

    def compare_product(
        self,
        product: CountedProduct,
        vector: Float[Tensor, "D 1"],
        image: Float[Tensor, "D 1"],
        allowed: float,
    ) -> None:
        """Apply A to a vector whose image is known.

        Raises
        ------
        ValueError
            If the product is farther from it than is allowed.
        """
        deviation = product.space.norms(product(vector) - image).item()
        if deviation > allowed:
            length = product.space.norms(image).item()
            raise ValueError(
                f"checkpoint {self.path} belongs to another operator: a product of length "
                f"{length:.1e} differs by {deviation:.1e}"
            )


def _column(block: Callable[[int, int], Tensor], i: int) -> Float[Tensor, " D"]:
    return block(i, i + 1)[:, 0]


def _itself(vector: Float[Tensor, " D"]) -> Float[Tensor, " D"]:
    return vector
