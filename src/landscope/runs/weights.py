"""Weights by name from a file, whatever wrote it; nothing is unpickled unless it is trusted."""

import re
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from landscope.runs.checkpoint import read_tensors
from landscope.runs.seal import DamagedFileError

_SAFE = ".safetensors"
SUFFIXES = (_SAFE, ".pt", ".pth", ".bin", ".ckpt")
"""Of files that weights are read from; all but the first hold pickles."""

_KEYS = ("state_dict", "model_state_dict", "model", "module")
# What torch.compile, DistributedDataParallel, and trainers that hold the model put before names.
_PREFIXES = ("module.", "_orig_mod.", "model.")
# The two kinds of names in a checkpoint of a Landscope training run.
_OWN, _OPTIMIZER = "model.", "optimizer."


def read_weights(
    path: str | Path, trust: bool = False, names: Collection[str] = ()
) -> dict[str, Tensor]:
    """Read the parameters and buffers of a model by name.

    Parameters
    ----------
    path : path
        A safetensors file, or a file of `torch.save` (.pt, .pth, .bin, .ckpt) that holds a state
        dict, alone or under a usual key. One shard stands for all
        (``model-00001-of-00002.safetensors``).
    trust : bool
        Unpickle a file that holds more than plain weights, which can run any code.
    names : collection of str
        Names that the model has. Prefixes that wrappers and trainers add to every name are taken
        away until one of these appears.

    Returns
    -------
    dict of str to Tensor
        On the CPU.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file, or one of its shards, is not there, is damaged, holds no weights by name, or
        holds what is no plain weights and is not trusted.

    Notes
    -----
    Of a checkpoint of a Landscope training run the model is read, not the optimiser.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "last.ckpt"
    >>> weights = {"module.bias": torch.zeros(2)}  # as DistributedDataParallel names them
    >>> torch.save({"epoch": 3, "state_dict": weights}, path)
    >>> read_weights(path)
    {'bias': tensor([0., 0.])}
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"weights {path} end in {path.suffix!r}; accepted are {_listed(SUFFIXES)}")
    named: dict[str, Tensor] = {}
    for shard in shards(path):
        if not shard.is_file():
            raise FileNotFoundError(f"weights {shard} do not exist")
        named |= _safe(shard) if shard.suffix == _SAFE else _pickled(shard, trust)
    if all(name.startswith((_OWN, _OPTIMIZER)) for name in named):
        named = {name: tensor for name, tensor in named.items() if name.startswith(_OWN)}
    if not named:
        raise ValueError(f"weights {path} hold no tensor")
    return _unwrapped(named, set(names))


def shards(path: Path) -> list[Path]:
    """List the files that hold the weights of which `path` is a part.

    Examples
    --------
    >>> [shard.name for shard in shards(Path("model-00002-of-00002.bin"))]
    ['model-00001-of-00002.bin', 'model-00002-of-00002.bin']
    >>> [shard.name for shard in shards(Path("model.bin"))]
    ['model.bin']
    """
    part = re.fullmatch(r"(.+)-\d{5}-of-(\d{5})", path.stem)
    if part is None:
        return [path]
    stem, count = part[1], part[2]
    numbers = range(1, int(count) + 1)
    return [path.with_name(f"{stem}-{number:05d}-of-{count}{path.suffix}") for number in numbers]


def _safe(path: Path) -> dict[str, Tensor]:
    try:
        return read_tensors(path)[0]
    except DamagedFileError as error:
        raise ValueError(f"weights {error}") from None


def _pickled(path: Path, trust: bool) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong with the file, the error says
            content = torch.load(path, map_location="cpu", weights_only=not trust)
    except Exception as error:  # a damaged file raises almost anything
        raise ValueError(_why_not(path, trust, error)) from None
    named = _named_tensors(content)
    if named is None:
        holds = (
            f"the keys {_listed(content)}"
            if isinstance(content, Mapping)
            else f"a {type(content).__name__}"
        )
        raise ValueError(
            f"weights {path} hold {holds}; accepted are tensors by name, alone or under one of "
            f"the keys {_listed(_KEYS)}"
        )
    return named


def _why_not(path: Path, trust: bool, error: Exception) -> str:
    said = str(error)
    refused = isinstance(error, UnpicklingError) or "TorchScript" in said
    if trust or not refused:
        detail = said.strip().partition("\n")[0]
        return f"weights {path} cannot be read ({type(error).__name__}: {detail}); is it damaged?"
    foreign = re.search(r"GLOBAL (\S+)", said)
    holds = foreign[1] if foreign else "more than tensors"
    return (
        f"weights {path} hold {holds}, which is no plain weights; --trust (in Python trust=True) "
        "unpickles the file, which can run any code, so only if you trust where it comes from"
    )


def _named_tensors(content: Any) -> dict[str, Tensor] | None:
    """The state dict in what a file holds, None where there is none."""
    if isinstance(content, nn.Module):
        content = content.state_dict()
    if not isinstance(content, Mapping):
        return None
    if all(isinstance(x, str) and isinstance(y, Tensor) for x, y in content.items()):
        return {name: tensor.detach() for name, tensor in content.items()}
    within = (_named_tensors(content[key]) for key in _KEYS if key in content)
    return next((named for named in within if named is not None), None)


def _unwrapped(named: dict[str, Tensor], names: set[str]) -> dict[str, Tensor]:
    """Take away prefixes that all names carry, until one of `names` appears."""
    for prefix in _PREFIXES:
        if names.isdisjoint(named) and all(name.startswith(prefix) for name in named):
            bare = {name.removeprefix(prefix): tensor for name, tensor in named.items()}
            return _unwrapped(bare, names)
    return named


def _listed(items: Collection[Any]) -> str:
    return ", ".join(map(str, items))
