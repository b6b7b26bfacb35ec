"""Checkpoints: tensors and strings in one safetensors file; nothing is ever unpickled."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from landscope.runs.seal import DamagedFileError, Seal, read_seal
from landscope.system.atomic import appearing
from landscope.system.interruption import deferring_interrupts

_SEAL = "landscope_seal"
"""The metadata that holds it."""


@dataclass(frozen=True)
class Checkpoint:
    """What training needs in order to go on from one step.

    Attributes
    ----------
    step
        The number of updates made so far.
    tensors
        Named tensors, on the CPU.
    metadata
        Named strings; structured values are kept as JSON.
    """

    step: int
    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], seal: Seal
) -> None:
    """Write named tensors and strings to a safetensors file that appears whole.

    Tensors that share memory (tied weights) are written once per name.
    """
    # safetensors refuses shared storage, and each name must load on its own.
    apart = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    sealed = {**metadata, _SEAL: seal.text(_digest(apart, metadata))}
    with appearing(path) as beside:
        try:
            save_file(apart, beside, metadata=sealed)
        except SafetensorError as error:  # such as on a full disk
            raise OSError(str(error)) from error


def read_tensors(path: Path, seal: Seal | None = None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and the strings of a safetensors file.

    Parameters
    ----------
    path
        The file. Where it has a seal, its content is compared with it.
    seal
        The run and the step that it must belong to, if any.

    Raises
    ------
    DamagedFileError
        If the file is damaged, or of another run or step.
    """
    try:
        with deferring_interrupts(), safe_open(path, framework="pt") as file:
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise DamagedFileError(f"{path} is damaged: {error}") from error
    text = metadata.pop(_SEAL, None)
    if seal is None and text is not None:
        written = read_seal(text, path)
        seal = Seal(written["run_id"], written["step"])
    if seal is not None:
        seal.check(text, _digest(tensors, metadata), path)
    return tensors, metadata


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 of names, types, shapes and entries, and of the strings."""
    content = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        content.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        content.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return content.hexdigest()
