"""A digest of each example with its target, blind to how a batch is padded."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool
from torch import Tensor
from torch.utils._pytree import keystr, tree_flatten_with_path

from landscope.identity import digest
from landscope.identity.tensors import bits
from landscope.problem.forward import TARGET_KEYS

IGNORED_LABEL = -100
"""What torch and Hugging Face pad labels with."""


def example_digests(batch: Any, ignored: int = IGNORED_LABEL) -> list[bytes]:
    """SHA-256 of each example, with its target and whatever else the batch says of it.

    Where a mapping has an ``attention_mask`` of shape (n, length), an example ends with its last
    place that the mask keeps or whose label is not ignored: what lies beyond depends on the longest
    example of the batch. Padding in front, or without such a mask, is part of an example.

    Parameters
    ----------
    batch
        Tensors of one row for each example, in tuples, lists or mappings. Numbers beside them
        belong to every example; strings, which no model computes with, to none.
    ignored : int
        Labels of this value are no loss term.

    Returns
    -------
    list of bytes
        In the order of the batch, the same in any other batch.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.eye(3), torch.tensor([0, 1, 2])
    >>> whole, part = example_digests((x, y)), example_digests((x[1:], y[1:]))
    >>> whole[1:] == part, whole[0] == whole[1]
    (True, False)
    """
    named = _named_leaves(batch)
    kept = _kept(batch, ignored)
    lengths = None if kept is None else _last(kept.numpy())
    head = hashlib.sha256()
    columns: list[tuple[np.ndarray, np.ndarray | None]] = []
    for name, leaf in named:
        if not _has_rows(leaf):
            if not isinstance(leaf, str):
                head.update(f"{name} {digest(leaf)}".encode())
            continue
        cut = kept is not None and leaf.shape[:2] == kept.shape
        shape = tuple(leaf.shape[2:]) if cut else tuple(leaf.shape[1:])
        head.update(f"{name} {leaf.dtype} {shape} {cut};".encode())
        rows = bits(leaf).reshape(len(leaf), -1)
        ends = None
        if cut and lengths is not None:
            ends = lengths * (rows.shape[1] // max(leaf.shape[1], 1))
        columns.append((rows, ends))
    return _each(head, columns)


def loose_digests(batch: Any) -> list[bytes]:
    """The same, blind to every way of padding: with 0, with −100, or with what a mask leaves out.

    To find the same examples in two passes over a loader that pads to the longest of its batch.
    """
    mask = batch.get("attention_mask") if isinstance(batch, Mapping) else None
    columns: list[tuple[np.ndarray, np.ndarray | None]] = []
    for _, leaf in _named_leaves(batch):
        if not _has_rows(leaf):
            continue
        values = leaf.detach().cpu()
        if not values.is_floating_point() and not values.is_complex():
            values = values.masked_fill(values == IGNORED_LABEL, 0)
        if isinstance(mask, Tensor) and mask.shape == leaf.shape:
            values = values.masked_fill(mask.cpu() == 0, 0)
        rows = bits(values).reshape(len(leaf), -1)
        columns.append((rows, _last(rows != 0)))
    return _each(hashlib.sha256(), columns)


def _each(head: Any, columns: list[tuple[np.ndarray, np.ndarray | None]]) -> list[bytes]:
    """One digest for each row, of its bytes in all columns up to where they end."""
    found = []
    for i in range(len(columns[0][0])):
        one = head.copy()
        for rows, ends in columns:
            if ends is None:
                one.update(rows[i])
            else:
                one.update(int(ends[i]).to_bytes(8, "little"))
                one.update(rows[i, : ends[i]])
        found.append(one.digest())
    return found


def _named_leaves(batch: Any) -> list[tuple[str, Any]]:
    """What a batch holds, by its place in it."""
    leaves, _ = tree_flatten_with_path(batch)
    return sorted(((keystr(path), leaf) for path, leaf in leaves), key=lambda named: named[0])


def _has_rows(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.ndim > 0


def _kept(batch: Any, ignored: int) -> Bool[Tensor, "n length"] | None:
    """Places that are no padding, where an attention mask says so."""
    mask = batch.get("attention_mask") if isinstance(batch, Mapping) else None
    if not isinstance(mask, Tensor) or mask.ndim != 2:
        return None
    kept = mask.cpu() != 0
    for key in TARGET_KEYS:
        labels = batch.get(key)
        if isinstance(labels, Tensor) and labels.shape == mask.shape:
            kept |= labels.cpu() != ignored
    return kept


def _last(kept: np.ndarray) -> np.ndarray:
    """How far each row goes: up to its last True."""
    ends = kept.shape[1] - kept[:, ::-1].argmax(axis=1)
    return np.where(kept.any(axis=1), ends, 0) if kept.shape[1] else np.zeros(len(kept), int)
