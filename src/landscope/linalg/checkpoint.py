"""A Krylov space in a file, from which a killed iteration goes on."""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Shaped
from safetensors import SafetensorError, safe_open
from torch import Tensor

from landscope.linalg.krylov import KrylovSubspace

SHARE_OF_TIME = 0.05  # that may go into writing
_TYPES = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


class Checkpoint:
    """One safetensors file with the state of a Krylov iteration, written beside and renamed.

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
        What is kept beside the Krylov space, as last restored; written with every save.

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
        self.exists = self.path.exists()
        if self.exists:
            self._compare(self._metadata())

    def restore(self, krylov: KrylovSubspace) -> bool:
        """Fill an empty Krylov space, and ``state``, from the file; False where there is none.

        Raises
        ------
        ValueError
            If A gives another product than it did when the file was written.
        """
        if not self.exists:
            return False
        with safe_open(self.path, framework="pt") as file:
            names = set(file.keys())
            self.state = {
                name.removeprefix("state."): file.get_tensor(name)
                for name in names
                if name.startswith("state.")
            }
            krylov.H, krylov.scale = file.get_tensor("H"), file.get_tensor("scale").item()
            krylov.product.count = int(file.get_tensor("count"))
            for i in range(len(krylov.H)):
                krylov.basis.append(file.get_tensor(f"q{i}"))
        self._compare_products(krylov)
        return True

    def save_if_due(self, krylov: KrylovSubspace) -> None:
        """Write the file, but for at most a twentieth of the time that passes."""
        if time.monotonic() - self._written >= self._duration / SHARE_OF_TIME:
            self.save(krylov)

    def save(self, krylov: KrylovSubspace) -> None:
        """Write the Krylov space and ``state``."""
        started = time.monotonic()
        small = {
            "H": krylov.H,
            "scale": torch.tensor(krylov.scale, dtype=torch.float64),
            "count": torch.tensor(krylov.product.count),
        } | {f"state.{name}": tensor for name, tensor in self.state.items()}
        beside = self._beside
        with open(beside, "wb") as file:
            file.write(self._header(small, krylov))
            for tensor in _tensors(small, krylov):
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

    def _header(self, small: Mapping[str, Tensor], krylov: KrylovSubspace) -> bytes:
        """The head of a safetensors file; the vectors follow one by one, never all in memory."""
        entries: dict[str, Any] = {"__metadata__": {"arguments": json.dumps(self.arguments)}}
        offset = 0
        vector = torch.empty(krylov.space.local_dim, dtype=krylov.space.dtype, device="meta")
        vectors = {f"q{i}": vector for i in range(krylov.basis.size)}
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

    def _metadata(self) -> dict[str, Any]:
        try:
            with safe_open(self.path, framework="pt") as file:
                return json.loads(file.metadata()["arguments"])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"checkpoint {self.path} is damaged or none of a Krylov iteration: "
                f"remove it to start anew"
            ) from error

    def _compare(self, written: dict[str, Any]) -> None:
        for name in self.arguments.keys() | written.keys():
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
        image = krylov.product(krylov.basis.combine(padded))
        deviation = krylov.space.norms(image - krylov.basis.combine(krylov.H @ mean)).item()
        if deviation > 1000 * torch.finfo(krylov.space.dtype).eps * krylov.scale:
            raise ValueError(
                f"checkpoint {self.path} belongs to another operator: a product differs by "
                f"{deviation:.1e} where products are up to {krylov.scale:.1e} long"
            )


def digest(tensor: Shaped[Tensor, "..."] | None) -> str | None:
    """A short fingerprint of a tensor's entries, to compare arguments by."""
    if tensor is None:
        return None
    return hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).hexdigest()[:16]


def _tensors(small: Mapping[str, Tensor], krylov: KrylovSubspace) -> Iterator[Tensor]:
    yield from (tensor.cpu() for tensor in small.values())
    for i in range(krylov.basis.size):
        yield krylov.basis.block(i, i + 1)[:, 0].cpu()
