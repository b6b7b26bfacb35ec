"""Some of the data, and which of its targets are loss terms."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from landscope.problem.data import num_rows, rows, take


@dataclass(frozen=True)
class Batch:
    """Some of the data, and which of its targets are loss terms.

    Attributes
    ----------
    data
        What the model's forward function takes.
    num_rows : int
        Examples along the leading dimension of the data.
    flat_targets : Tensor, shape (R, ...)
        One target per row of the flattened logits, ignored ones included.
    is_term : Tensor of bool, shape (R,)
        Which rows are loss terms.
    divisible : bool
        Whether the examples do not depend on each other, so that they may be visited in pieces.
    """

    data: Any
    num_rows: int
    flat_targets: Shaped[Tensor, "R ..."]
    is_term: Bool[Tensor, " R"]
    divisible: bool = True

    @classmethod
    def of(
        cls,
        data: Any,
        flat_targets: Shaped[Tensor, "R ..."],
        loss: object,
        divisible: bool = True,
    ) -> "Batch":
        """Find the loss terms: all targets but those that equal the loss's ``ignore_index``."""
        ignore_index = getattr(loss, "ignore_index", None)
        class_indices = flat_targets.ndim == 1 and not flat_targets.is_floating_point()
        if ignore_index is not None and class_indices:
            is_term = flat_targets != ignore_index
        else:
            is_term = torch.ones(len(flat_targets), dtype=torch.bool, device=flat_targets.device)
        return cls(data, num_rows(data), flat_targets, is_term, divisible)

    @property
    def targets(self) -> Shaped[Tensor, "T ..."]:
        """Targets of the loss terms."""
        return self.flat_targets[self.is_term]

    @property
    def rows_per_example(self) -> int:
        """Rows of the flattened logits that each example gives: its tokens, or 1."""
        return len(self.flat_targets) // self.num_rows

    def pieces(self, size: int) -> Iterator["Batch"]:
        """The batch in pieces of at most this many examples; whole where it is not divisible."""
        if not self.divisible:
            yield self
            return
        for start in range(0, self.num_rows, size):
            yield self.examples(start, min(start + size, self.num_rows))

    def examples(self, start: int, stop: int) -> "Batch":
        """Examples start to stop of the batch, views of its data."""
        flat = slice(start * self.rows_per_example, stop * self.rows_per_example)
        data, targets = rows(self.data, start, stop), self.flat_targets[flat]
        return Batch(data, stop - start, targets, self.is_term[flat], self.divisible)

    def take(self, examples: Int[Tensor, " n"]) -> "Batch":
        """These examples of the batch, in this order."""
        flat = torch.arange(len(self.flat_targets)).view(self.num_rows, -1)[examples].flatten()
        data = take(self.data, examples)
        targets, is_term = self.flat_targets[flat], self.is_term[flat]
        return Batch(data, len(examples), targets, is_term, self.divisible)

    @classmethod
    def join(cls, batches: Sequence["Batch"]) -> "Batch":
        """The examples of several batches in one.

        Raises
        ------
        ValueError
            When their data differ in structure or shape.
        """
        trees = [tree_flatten(batch.data) for batch in batches]
        if len({(structure, *map(_form, leaves)) for leaves, structure in trees}) > 1:
            raise ValueError("batches whose data differ in structure or shape cannot be joined")
        joined = [
            torch.cat(leaves) if isinstance(leaves[0], Tensor) and leaves[0].ndim else leaves[0]
            for leaves in zip(*(leaves for leaves, _ in trees), strict=True)
        ]
        return cls(
            tree_unflatten(joined, trees[0][1]),
            sum(batch.num_rows for batch in batches),
            torch.cat([batch.flat_targets for batch in batches]),
            torch.cat([batch.is_term for batch in batches]),
            all(batch.divisible for batch in batches),
        )


def unit(batches: Iterable[Batch]) -> str:
    """What loss terms are: the examples themselves, or more or fewer of each, such as tokens."""
    one_each = all(len(batch.targets) == batch.num_rows for batch in batches)
    return "examples" if one_each else "terms"


def _form(leaf: Any) -> Any:
    """What leaves of joined batches must have in common."""
    return leaf.shape[1:] if isinstance(leaf, Tensor) and leaf.ndim else repr(leaf)
