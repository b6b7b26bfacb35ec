"""Krylov spaces in a file, from which a killed iteration goes on."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from landscope.linalg.krylov import KrylovSubspace
from landscope.linalg.product import CountedProduct

SHARE_OF_TIME = 0.05  # that may go into writing
_TYPES = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


class Checkpoint:
    """One safetensors file with the state of Krylov iterations, written beside and renamed.

    A process killed at any moment leaves the last whole file. Called again with the same
    arguments, the iteration goes on from there and takes the same steps; one product then compares
    A with what was applied before. The file is removed when the iteration has finished.

    Parameters
    ----------
    path : str or Path
        The file.
    arguments : mapping of str to JSON values
        What must be the same when the iteration goes on.

    Attributes
    ----------
    state : dict of str to Tensor
        What is kept beside the Krylov spaces: at first as the file has it; written with each save.
    unrestored : bool
        Whether the file holds Krylov spaces that were not restored yet.

    Raises
    ------
    ValueError
        If the file is damaged, or was written with other arguments.
    """

    def __init__(self, path: str | Path, arguments: Mapping[str, Any]):
        self.path = Path(path)
        self.arguments = json.loads(json.dumps(dict(arguments)))
        self.state: dict[str, Tensor] = {}
        self._written, self._duration = time.monotonic(), 0.0
        self.unrestored = self.path.exists()
        if self.unrestored:
            self._compare(self._metadata())
            self._recall()

    def restore(self, *spaces: KrylovSubspace) -> bool:
        """Fill empty Krylov spaces of one operator from the file, once; False where there is none.

        Raises
        ------
        ValueError
            If A gives another product than it did when the file was written.
        """
        if not self.unrestored:
            return False
        self.unrestored = False
        with safe_open(self.path, framework="pt") as file:
            for s, krylov in enumerate(spaces):
                krylov.H = file.get_tensor(f"{s}.H")
                krylov.scale = file.get_tensor(f"{s}.scale").item()
                krylov.product.count = int(file.get_tensor("count"))
                for i in range(len(krylov.H)):
                    krylov.basis.append(file.get_tensor(f"{s}.q{i}"))
        self._compare_products(spaces[0])
        return True

    def save_if_due(self, *spaces: KrylovSubspace) -> None:
        """Write the file, but for at most a twentieth of the time that passes."""
        if time.monotonic() - self._written >= self._duration / SHARE_OF_TIME:
            self.save(*spaces)

    def save(self, *spaces: KrylovSubspace) -> None:
        """Write Krylov spaces of one operator, and ``state``."""
        started = time.monotonic()
        small = {"count": torch.tensor(spaces[0].product.count)}
        for s, krylov in enumerate(spaces):
            small[f"{s}.H"] = krylov.H
            small[f"{s}.scale"] = torch.tensor(krylov.scale, dtype=torch.float64)
        small |= {f"state.{name}": tensor for name, tensor in self.state.items()}
        beside = self._beside
        with open(beside, "wb") as file:
            file.write(_header(self.arguments, small, spaces))
            for tensor in _tensors(small, spaces):
                file.write(tensor.contiguous().numpy().tobytes())
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self.path)
        self._written = time.monotonic()
        self._duration = self._written - started

    def remove(self) -> None:
        """Remove the file: the iteration has finished."""
        self.path.unlink(missing_ok=True)
        self._beside.unlink(missing_ok=True)

    @property
    def _beside(self) -> Path:
        return self.path.with_name(f".{self.path.name}.partial")

    def _metadata(self) -> dict[str, Any]:
        try:
            with safe_open(self.path, framework="pt") as file:
                return json.loads(file.metadata()["arguments"])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"checkpoint {self.path} is damaged or none of a Krylov iteration: "
                f"remove it to start anew"
            ) from error

    def _recall(self) -> None:
        with safe_open(self.path, framework="pt") as file:
            self.state = {
                name.removeprefix("state."): file.get_tensor(name)
                for name in set(file.keys())
                if name.startswith("state.")
            }

    def _compare(self, written: dict[str, Any]) -> None:
        for name in self.arguments | written:
            before, now = written.get(name), self.arguments.get(name)
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


def _header(
    arguments: Mapping[str, Any], small: Mapping[str, Tensor], spaces: Sequence[KrylovSubspace]
) -> bytes:
    """The head of a safetensors file; the vectors follow one by one, never all in memory."""
    entries: dict[str, Any] = {"__metadata__": {"arguments": json.dumps(arguments)}}
    offset = 0
    vectors = {
        f"{s}.q{i}": torch.empty(krylov.space.local_dim, dtype=krylov.space.dtype, device="meta")
        for s, krylov in enumerate(spaces)
        for i in range(krylov.basis.size)
    }
    for name, tensor in (dict(small) | vectors).items():
        stop = offset + tensor.nbytes
        entries[name] = {
            "dtype": _TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, stop],
        }
        offset = stop
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _tensors(small: Mapping[str, Tensor], spaces: Sequence[KrylovSubspace]) -> Iterator[Tensor]:
    yield from (tensor.cpu() for tensor in small.values())
    for krylov in spaces:
        for i in range(krylov.basis.size):
            yield krylov.basis.block(i, i + 1)[:, 0].cpu()
