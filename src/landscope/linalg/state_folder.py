"""A folder of torch.distributed.checkpoint for vectors that are spread over processes."""

import json
import math
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from jaxtyping import Float
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import Metadata, MetadataIndex, TensorStorageMetadata
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor
from torch.distributed.tensor import Shard as AlongRows

from landscope.distributed import RankError, Shard, Shards
from landscope.linalg.sharded import ShardedSpace
from landscope.linalg.state_file import damaged
from landscope.system.folder import make_writable

_ARGUMENTS = "arguments"


class StateFolder:
    """What several processes keep together: each writes its slices, any number of them reads.

    A vector is one DTensor for each tensor of its `Shards`, spread over the processes by rows, so
    that torch reads it on another number of processes. The folder is written beside and renamed by
    rank 0 when all have written: processes killed at any moment leave the last whole one, in
    the instant between two renames as ``.NAME.before``.

    Torch reads such a folder by unpickling its description: go on only from one you trust.

    Parameters
    ----------
    path : Path
        The folder, which all processes see.
    space : ShardedSpace
        Of the vectors.
    """

    def __init__(self, path: Path, space: ShardedSpace):
        self.path = path
        self.space, self.ranks = space, space.ranks
        self._mesh = DeviceMesh.from_group(self.ranks.group, space.device.type)
        self._beside = path.with_name(f".{path.name}.partial")
        self._before = path.with_name(f".{path.name}.before")

    def agreed(self, due: bool) -> bool:
        """Whether it is time by rank 0's clock."""
        return bool(self.ranks.first(torch.tensor([due], device=self.space.device)))

    def begin(self) -> bool:
        """Find out that it can be written, and whether there is something to read.

        Raises
        ------
        ValueError
            If the path is a file.
        """
        self._by_first(lambda: make_writable(self.path.parent, "checkpoint folder"))
        found, file = self._by_first(lambda: (self._whole.exists(), self.path.is_file()))
        if file:
            raise ValueError(
                f"checkpoint {self.path} is a file, as one process writes it; processes that each "
                "hold a slice of the vectors keep a folder: name another"
            )
        return bool(found)

    def read(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Arguments and small tensors.

        Raises
        ------
        ValueError
            If the folder is damaged or none of ours, or the vectors in it consist of other tensors.
        """
        found = self.ranks.objects(self._description)
        if any(metadata is None for metadata in found):
            raise ValueError(damaged(self.path))
        entries = found[self.ranks.rank].state_dict_metadata
        self._compare_shapes(entries)
        small = {
            name: torch.empty(entry.size, dtype=entry.properties.dtype)
            for name, entry in entries.items()
            if isinstance(entry, TensorStorageMetadata) and "/" not in name
        }
        self._load(small)
        arguments = json.loads(bytes(small.pop(_ARGUMENTS).tolist()))
        return arguments, small

    def vector(self, name: str) -> Float[Tensor, " d"]:
        """The slice of one vector."""
        space = self.space
        parts = [
            torch.empty(shard.local_shape, dtype=space.dtype, device=space.device)
            for shard in space.shards.tensors
        ]
        self._load(
            {
                _key(name, shard): self._spread(part, shard)
                for part, shard in zip(parts, space.shards.tensors, strict=True)
            }
        )
        return torch.cat([part.flatten() for part in parts])

    def write(
        self,
        arguments: Mapping[str, Any],
        small: Mapping[str, Tensor],
        vectors: Mapping[str, Callable[[], Float[Tensor, " d"]]],
    ) -> None:
        """Write all anew; each vector is asked for when it is written, never all in memory."""
        text = torch.tensor(list(json.dumps(arguments).encode()), dtype=torch.uint8)
        state = {_ARGUMENTS: text} | {name: tensor.contiguous() for name, tensor in small.items()}
        for name in vectors:
            for shard in self.space.shards.tensors:
                like = torch.empty(shard.local_shape, dtype=self.space.dtype, device="meta")
                state[_key(name, shard)] = self._spread(like, shard)
        self._by_first(self._clear)
        try:
            self._collectively(
                lambda: dcp.save(
                    state,
                    storage_writer=dcp.FileSystemWriter(self._beside),
                    planner=_Slices(self.space.shards, vectors),
                    process_group=self.ranks.group,
                )
            )
        except CheckpointException as error:
            failed = sorted(error.failures)
            cause = error.failures[failed[0]][0]
            what = f"failed: {type(cause).__name__}: {cause}"
            raise RankError(failed, self.ranks.size, what) from error
        self._by_first(self._replace)

    def remove(self) -> None:
        """Remove the folder."""
        self._by_first(self._remove_all)

    def release(self) -> None:
        """Nothing: no lock is held."""

    # --- what rank 0 does alone -------------------------------------------------------------------

    def _by_first(self, act: Callable[[], Any]) -> Any:
        return self.ranks.objects(lambda: act() if self.ranks.rank == 0 else None)[0]

    def _clear(self) -> None:
        shutil.rmtree(self._beside, ignore_errors=True)
        if self.path.exists():
            shutil.rmtree(self._before, ignore_errors=True)

    def _remove_all(self) -> None:
        for folder in (self._beside, self._before, self.path):
            shutil.rmtree(folder, ignore_errors=True)

    def _replace(self) -> None:
        if self.path.exists():
            os.replace(self.path, self._before)
        os.replace(self._beside, self.path)
        shutil.rmtree(self._before, ignore_errors=True)

    # --- what torch reads -------------------------------------------------------------------------

    @property
    def _whole(self) -> Path:
        return self.path if self.path.exists() else self._before

    def _description(self) -> Metadata | None:
        try:
            return dcp.FileSystemReader(self._whole).read_metadata()
        except Exception:  # whatever unpickling a damaged file may raise
            return None

    def _compare_shapes(self, entries: Mapping[str, Any]) -> None:
        written = {
            name.partition("/")[2]: tuple(entry.size)
            for name, entry in entries.items()
            if "/" in name
        }
        now = {shard.name: shard.shape for shard in self.space.shards.tensors}
        if written != now:
            raise ValueError(
                f"checkpoint {self.path} holds vectors of {_told(written)}, this call has those of "
                f"{_told(now)}: remove it or name another"
            )

    def _load(self, state: dict[str, Any]) -> None:
        try:
            self._collectively(
                lambda: dcp.load(
                    state,
                    storage_reader=dcp.FileSystemReader(self._whole),
                    planner=dcp.DefaultLoadPlanner(flatten_state_dict=False),
                    process_group=self.ranks.group,
                )
            )
        except CheckpointException as error:
            raise ValueError(damaged(self.path)) from error

    def _collectively(self, act: Callable[[], Any]) -> None:
        """Read or write on all ranks; torch 2.9 warns there of storages that it makes itself."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "TypedStorage is deprecated")
            self.ranks.collectively(act)

    def _spread(self, part: Tensor, shard: Shard) -> DTensor:
        stride = torch.empty(shard.shape, device="meta").stride()
        shape, placed = torch.Size(shard.shape), [AlongRows(0)]
        return DTensor.from_local(
            part, self._mesh, placed, run_check=False, shape=shape, stride=stride
        )


class _Slices(dcp.DefaultSavePlanner):
    """Asks for the slices of a vector when they are written."""

    def __init__(
        self, shards: Shards, vectors: Mapping[str, Callable[[], Float[Tensor, " d"]]]
    ) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self._vectors = vectors
        self._held: tuple[str, Tensor] | None = None  # the vector asked for last, read once
        self._shapes = [shard.local_shape for shard in shards.tensors]
        self._numbers = {shard.name: i for i, shard in enumerate(shards.tensors)}

    def lookup_object(self, index: MetadataIndex) -> Any:
        vector, slash, tensor = index.fqn.partition("/")
        if not slash:
            return super().lookup_object(index)
        number = self._numbers[tensor]
        if self._held is None or self._held[0] != vector:
            self._held = vector, self._vectors[vector]()
        parts = self._held[1].split([math.prod(shape) for shape in self._shapes])
        return parts[number].view(self._shapes[number])


def _key(vector: str, shard: Shard) -> str:
    return f"{vector}/{shard.name}"


def _told(shapes: Mapping[str, tuple[int, ...]]) -> str:
    first = ", ".join(f"{name} {list(shape)}" for name, shape in list(shapes.items())[:3])
    return f"{len(shapes)} tensors ({first}{', …' if len(shapes) > 3 else ''})"
