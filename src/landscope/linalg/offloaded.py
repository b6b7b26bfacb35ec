"""Vectors whose Krylov basis is kept away from the operator: in host memory or on disk."""

import copy
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from landscope.arguments import shown
from landscope.linalg.space import DenseSpace, StoredBasis, VectorSpace, inner_products
from landscope.system.folder import make_writable

BYTES_PER_CHUNK = 2**23  # of a basis that are in work at a time


def stored_in(space: VectorSpace, storage: str | Path) -> VectorSpace:
    """Give a space with the basis of its vectors kept elsewhere.

    Parameters
    ----------
    space : VectorSpace
        The space that an operator acts in.
    storage : {"device", "host", "disk"} or Path
        With the operator, in host memory, in a temporary file, or in one in the folder named.

    Raises
    ------
    ValueError
        For any other storage, and where the space has its own.
    OSError
        If the folder cannot be written.
    """
    if not isinstance(storage, Path) and storage not in ("device", "host", "disk"):
        raise ValueError(
            f"storage is {shown(storage)}; it must be device, host, disk or the Path of a folder"
        )
    if storage == "device":
        return space
    if not isinstance(space, DenseSpace):
        raise ValueError(f"storage must be device for vectors of a {type(space).__name__}")
    folder = Path(tempfile.gettempdir()) if storage == "disk" else storage
    if isinstance(folder, Path) and not folder.is_dir():
        raise ValueError(f"storage must name a folder that exists, got {folder}")
    if isinstance(folder, Path):
        make_writable(folder, "storage")
    stored = copy.copy(space)
    stored.store = partial(OffloadedBasis, folder=folder if isinstance(folder, Path) else None)
    return stored


class OffloadedBasis(StoredBasis):
    """Vectors of a DenseSpace, read in chunks of entries.

    Parameters
    ----------
    space : DenseSpace
        Their space.
    capacity : int
        The most vectors.
    folder : Path, optional
        Where a file is made that holds them; host memory by default.
    """

    def __init__(self, space: DenseSpace, capacity: int, folder: Path | None = None):
        self.space = space
        self.size = 0
        self._rows: _Rows = (
            _HostRows(space, capacity) if folder is None else _FileRows(space, folder)
        )

    def append(self, vector: Float[Tensor, " D"]) -> None:
        """Store one more vector."""
        self._rows.write(self.size, 0, self.space.kept(vector)[None])
        self.size += 1

    def block(self, start: int, stop: int) -> Float[Tensor, "D b"]:
        """Give the vectors q_start … q_{stop-1} where products are computed."""
        return self._rows.read(start, stop, slice(0, self.space.local_dim)).T

    def _products(self, block: Float[Tensor, "D b"]) -> Float64[Tensor, "n b"]:
        total = torch.zeros(self.size, block.shape[1], dtype=torch.float64)
        for entries in self._chunks():
            total += inner_products(self._rows.read(0, self.size, entries), block[entries])
        return total

    def combine(self, coefficients: Float64[Tensor, "n b"]) -> Float[Tensor, "D b"]:
        """Linear combinations QC."""
        space = self.space
        weights = coefficients.to(space.device, space.dtype)
        combined = torch.empty(space.local_dim, weights.shape[1], dtype=space.dtype)
        combined = combined.to(space.device)
        for entries in self._chunks():
            combined[entries] = self._rows.read(0, self.size, entries).T @ weights
        return combined

    def rotate(self, coefficients: Float64[Tensor, "n p"], start: int = 0) -> None:
        """Replace the vectors from q_start on by their combinations: Q ← QC."""
        transform = coefficients.T.to(self.space.device, self.space.dtype)
        for entries in self._chunks():
            rows = self._rows.read(start, self.size, entries)
            self._rows.write(start, entries.start, transform @ rows)
        self.size = start + len(transform)

    def _chunks(self) -> list[slice]:
        itemsize = self.space.dtype.itemsize
        length = max(1, BYTES_PER_CHUNK // (itemsize * max(self.size, 1)))
        dim = self.space.local_dim
        return [slice(first, min(first + length, dim)) for first in range(0, dim, length)]


class _Rows(Protocol):
    """Storage of vectors by rows."""

    def read(self, start: int, stop: int, entries: slice) -> Float[Tensor, "n d"]:
        """Some entries of rows start … stop − 1, on the device of the space."""

    def write(self, row: int, entry: int, values: Float[Tensor, "n d"]) -> None:
        """Put values into rows from ``row`` and entries from ``entry`` on."""


class _HostRows:
    """Rows in host memory, page-locked where they go to an accelerator."""

    def __init__(self, space: DenseSpace, capacity: int):
        self._device = space.device
        self._rows = torch.empty(
            capacity, space.local_dim, dtype=space.dtype, pin_memory=space.device.type == "cuda"
        )

    def read(self, start: int, stop: int, entries: slice) -> Float[Tensor, "n d"]:
        return self._rows[start:stop, entries].to(self._device)

    def write(self, row: int, entry: int, values: Float[Tensor, "n d"]) -> None:
        count, length = values.shape
        self._rows[row : row + count, entry : entry + length] = values


class _FileRows:
    """Rows in a file without a name, gone with the process; read and written, never mapped."""

    def __init__(self, space: DenseSpace, folder: Path):
        self._device, self._dtype, self._dim = space.device, space.dtype, space.local_dim
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115

    def read(self, start: int, stop: int, entries: slice) -> Float[Tensor, "n d"]:
        rows = torch.empty(stop - start, entries.stop - entries.start, dtype=self._dtype)
        for row, values in enumerate(rows if rows.numel() else (), start):
            self._seek(row, entries.start)
            view = memoryview(values.numpy()).cast("B")
            while len(view):
                count = self._file.readinto(view)
                if not count:
                    raise OSError("the file of a Krylov basis ended early")
                view = view[count:]
        return rows.to(self._device)

    def write(self, row: int, entry: int, values: Float[Tensor, "n d"]) -> None:
        for number, part in enumerate(values.cpu().contiguous() if values.numel() else (), row):
            self._seek(number, entry)
            view = memoryview(part.numpy()).cast("B")
            while len(view):
                view = view[self._file.write(view) :]

    def _seek(self, row: int, entry: int) -> None:
        self._file.seek((row * self._dim + entry) * self._dtype.itemsize, os.SEEK_SET)
