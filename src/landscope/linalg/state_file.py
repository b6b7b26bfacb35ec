"""Named tensors in one safetensors file, written beside and renamed."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from landscope.linalg.space import VectorSpace
from landscope.system.folder import make_writable
from landscope.system.interruption import deferring_interrupts
from landscope.system.lock import WriterLock

_TYPES = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_VECTOR = "vector "  # before the names of vectors
_CHUNK = 2**20  # bytes that are read at a time
_UNKNOWN = "0" * 64  # in the place of the digest, until all is written


class StateFile:
    """What one process keeps: arguments, small tensors, and vectors one by one.

    A process killed at any moment leaves the last whole file.

    Parameters
    ----------
    path : Path
        The file.
    space : VectorSpace
        Of the vectors.
    """

    def __init__(self, path: Path, space: VectorSpace):
        self.path = path
        self.space = space
        self._beside = path.with_name(f".{path.name}.partial")
        self._lock: WriterLock | None = None

    def agreed(self, due: bool) -> bool:
        """Whether all are to write, where each finds that it is time or not."""
        return due

    def begin(self) -> bool:
        """Find out that it can be written, and whether there is something to read.

        Raises
        ------
        OSError
            If it cannot be written, or another process writes it.
        """
        make_writable(self.path.parent, "checkpoint folder")
        self._lock = WriterLock(self.path.with_name(f".{self.path.name}.lock"))
        return self.path.exists()

    def read(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Arguments and small tensors.

        Raises
        ------
        ValueError
            If it is damaged, none of ours, or a folder.
        """
        if self.path.is_dir():
            raise ValueError(
                f"checkpoint {self.path} is a folder, as processes write it that each hold a slice "
                "of the vectors; this call keeps a file: name another"
            )
        try:
            with deferring_interrupts(), safe_open(self.path, framework="pt") as file:
                arguments = json.loads(file.metadata()["arguments"])
                written = file.metadata().get("sha256")  # none in files of older versions
                if written is not None and written != self._digest(written):
                    raise ValueError("it does not hold what was written there")
                names = [name for name in set(file.keys()) if not name.startswith(_VECTOR)]
                # In memory of their own: where numbers lie in the file decides how products round.
                return arguments, {name: file.get_tensor(name).clone() for name in names}
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(damaged(self.path)) from error

    def vector(self, name: str) -> Float[Tensor, " D"]:
        """One vector, on the CPU."""
        with deferring_interrupts(), safe_open(self.path, framework="pt") as file:
            return file.get_tensor(_VECTOR + name)

    def write(
        self,
        arguments: Mapping[str, Any],
        small: Mapping[str, Tensor],
        vectors: Mapping[str, Callable[[], Float[Tensor, " D"]]],
    ) -> None:
        """Write all anew; each vector is asked for when it is written, never all in memory."""
        try:
            with open(self._beside, "wb") as file:
                header = self._header(arguments, small, vectors)
                digest = hashlib.sha256(header)
                file.write(header)
                for tensor in _tensors(small, vectors):
                    content = tensor.cpu().contiguous().numpy().tobytes()
                    digest.update(content)
                    file.write(content)
                file.seek(header.index(_UNKNOWN.encode()))
                file.write(digest.hexdigest().encode())
                file.flush()
                os.fsync(file.fileno())
            os.replace(self._beside, self.path)
        except OSError as error:
            with suppress(OSError):
                self._beside.unlink(missing_ok=True)
            reason = error.strerror or str(error)
            raise OSError(f"checkpoint {self.path} could not be written: {reason}") from error

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)
        self._beside.unlink(missing_ok=True)

    def release(self) -> None:
        """Let other processes write it."""
        if self._lock is not None:
            self._lock.release()

    def _digest(self, written: str) -> str:
        """Of the file as it was before its digest was written into it."""
        with open(self.path, "rb") as file:
            length = file.read(8)
            header = length + file.read(int.from_bytes(length, "little"))
            digest = hashlib.sha256(header.replace(written.encode(), _UNKNOWN.encode(), 1))
            while content := file.read(_CHUNK):
                digest.update(content)
        return digest.hexdigest()

    def _header(
        self, arguments: Mapping[str, Any], small: Mapping[str, Tensor], vectors: Mapping[str, Any]
    ) -> bytes:
        """The head of a safetensors file."""
        about = {"sha256": _UNKNOWN, "arguments": json.dumps(arguments)}
        entries: dict[str, Any] = {"__metadata__": about}
        like = torch.empty(self.space.local_dim, dtype=self.space.dtype, device="meta")
        offset = 0
        for name, tensor in (dict(small) | {_VECTOR + name: like for name in vectors}).items():
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


def damaged(path: Path) -> str:
    """The sentence for what cannot be read."""
    return f"checkpoint {path} is damaged or none of a Krylov iteration: remove it to start anew"


def _tensors(
    small: Mapping[str, Tensor], vectors: Mapping[str, Callable[[], Tensor]]
) -> Iterator[Tensor]:
    yield from small.values()
    for read in vectors.values():
        yield read()
