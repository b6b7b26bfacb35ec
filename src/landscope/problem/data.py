"""Every accepted form of data as one list of batches that can be visited again and again."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from landscope.arguments import whole
from landscope.distributed import Ranks
from landscope.problem.example_digests import loose_digests

DEFAULT_BATCH_SIZE = 512


def as_batches(data: Any, batch_size: int | None = None, ranks: Ranks | None = None) -> list[Any]:
    """Read the data into batches, kept in host memory as they come.

    Parameters
    ----------
    data : pair of tensors, Dataset, re-iterable of batches, or list of batches
        A loader is read twice, and its batches are kept: a shuffled one then has one fixed order.
    batch_size : int, optional
        Largest number of examples in a batch. By default 512 for tensors and data sets, and the
        loader's own otherwise.
    ranks : Ranks, optional
        Keep this process's part of data that are the same on all of them.

    Raises
    ------
    TypeError
        For a one-shot iterator, or data of another kind.
    ValueError
        For an empty data set, mismatched lengths, or data that differ between two passes.
    """
    if batch_size is not None:
        batch_size = whole("batch_size", batch_size)
    if is_tensor_pair(data):
        data = _plain(tuple(data))
        inputs, targets = data
        if not (inputs.ndim and targets.ndim):
            raise ValueError("data holds a single number for inputs or targets; give one a row")
        if len(inputs) != len(targets):
            raise ValueError(
                f"data has {len(inputs)} inputs and {len(targets)} targets; their lengths must "
                "be equal"
            )
        batches = [data] if len(inputs) else []
        batch_size = batch_size or DEFAULT_BATCH_SIZE
    elif isinstance(data, Iterator):
        raise TypeError(
            f"data is a one-shot {type(data).__name__}, which is used up after one pass; give a "
            "list of batches, a DataLoader or a Dataset"
        )
    elif isinstance(data, Dataset):
        if ranks and isinstance(data, Sized) and not isinstance(data, IterableDataset):
            # What others have is not even read.
            mine = ranks.share(len(data))
            data, ranks = Subset(data, range(mine.start, mine.stop)), None
        loader = DataLoader(data, batch_size=batch_size or DEFAULT_BATCH_SIZE)
        batches = _read_twice(loader)
    elif isinstance(data, Sequence) and not isinstance(data, str):
        batches = list(data)
    elif isinstance(data, Iterable) and not isinstance(data, Mapping | Tensor | str):
        batches = _read_twice(data)
    else:
        raise TypeError(
            f"data is a {type(data).__name__}; accepted are a pair of tensors, a Dataset, a "
            "re-iterable loader, or a list of batches"
        )
    batches = [_plain(batch) for batch in batches]
    if ranks:
        lengths = [num_rows(batch) for batch in batches]
        own = rows_in_batches(lengths, ranks.share(sum(lengths)))
        batches = [rows(batches[i], start, stop) for i, start, stop in own]
    batches = [piece for batch in batches for piece in split(batch, batch_size)]
    if not batches:
        raise ValueError("data is empty; at least one example is needed")
    return batches


def is_tensor_pair(data: Any) -> bool:
    """Whether the data is (inputs, targets) as two tensors or arrays."""
    return (
        isinstance(data, tuple | list)
        and len(data) == 2
        and all(isinstance(part, Tensor | np.ndarray) for part in data)
    )


def leaves(batch: Any) -> list[Tensor]:
    """The tensors of a batch, in a fixed order."""
    return [leaf for leaf in tree_flatten(batch)[0] if isinstance(leaf, Tensor)]


def num_rows(batch: Any) -> int:
    """Examples in a batch: the leading dimension of its tensors.

    Raises
    ------
    ValueError
        When the tensors differ in their leading dimension.
    """
    lengths = [len(leaf) for leaf in leaves(batch) if leaf.ndim]
    if not lengths:
        raise ValueError("data holds a batch without any tensor; its examples cannot be counted")
    if len(set(lengths)) > 1:
        raise ValueError(
            f"data holds a batch whose tensors have lengths {lengths}; they must be equal"
        )
    return lengths[0]


def rows(batch: Any, start: int, stop: int) -> Any:
    """Examples start to stop of a batch."""
    return tree_map(lambda x: x[start:stop] if isinstance(x, Tensor) and x.ndim else x, batch)


def rows_in_batches(lengths: Sequence[int], wanted: slice) -> Iterator[tuple[int, int, int]]:
    """Where a range of examples lies in batches of these lengths: batch, first row, last row + 1.

    Examples
    --------
    >>> list(rows_in_batches([3, 2, 4], slice(2, 6)))
    [(0, 2, 3), (1, 0, 2), (2, 0, 1)]
    """
    before = 0
    for index, length in enumerate(lengths):
        start, stop = max(wanted.start - before, 0), min(wanted.stop - before, length)
        if start < stop:
            yield index, start, stop
        before += length


def take(batch: Any, examples: Tensor) -> Any:
    """These examples of a batch, in this order."""
    return tree_map(lambda x: x[examples] if isinstance(x, Tensor) and x.ndim else x, batch)


def split(batch: Any, batch_size: int | None) -> list[Any]:
    """The batch in pieces of at most batch_size examples; none if it is empty."""
    count = num_rows(batch)
    if batch_size is None or count <= batch_size:
        return [batch] if count else []
    return [rows(batch, i, i + batch_size) for i in range(0, count, batch_size)]


def _plain(batch: Any) -> Any:
    """Mappings of any class, such as a tokenizer's, as plain dictionaries, arrays as tensors.

    Raises
    ------
    TypeError
        For arrays of what are no numbers.
    """
    batch = dict(batch) if isinstance(batch, Mapping) else batch
    return tree_map(_differentiable, batch)


def _differentiable(leaf: Any) -> Any:
    """Arrays as tensors, and tensors that were made in inference mode as autograd takes them."""
    if isinstance(leaf, np.ndarray):
        return _tensor(leaf)
    return leaf.clone() if isinstance(leaf, Tensor) and leaf.is_inference() else leaf


def _tensor(array: np.ndarray) -> Tensor:
    """The numbers of an array, in memory of their own: it may be read-only, or a view."""
    try:
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C", copy=True))
    except TypeError:
        raise TypeError(
            f"data holds an array of dtype {array.dtype}; accepted are arrays of numbers"
        ) from None


def _read_twice(loader: Iterable[Any]) -> list[Any]:
    first = list(loader)
    second = Counter(one for batch in loader for one in loose_digests(_plain(batch)))
    if Counter(one for batch in first for one in loose_digests(_plain(batch))) != second:
        raise ValueError(
            "data differs between two passes (random augmentation, random sampling, drop_last with "
            "shuffle, or a source that is used up); switch the randomness off, or freeze it with "
            "data=list(loader)"
        )
    return first
