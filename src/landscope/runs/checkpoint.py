"""Checkpoints: tensors and strings in one safetensors file; nothing is ever unpickled."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from landscope.runs.atomic import appearing


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


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write named tensors and strings to a safetensors file that appears whole.

    Tensors that share memory (tied weights) are written once per name.
    """
    # safetensors refuses shared storage, and each name must load on its own.
    apart = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    with appearing(path) as beside:
        save_file(apart, beside, metadata=dict(metadata))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and the strings of a safetensors file.

    Raises
    ------
    safetensors.SafetensorError
        If the file is damaged.
    """
    with safe_open(path, framework="pt") as file:
        names = file.keys()
        return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
