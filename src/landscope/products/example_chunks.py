"""Some examples at a time, in any order, from whatever batches hold them."""

from collections.abc import Iterator

import torch
from jaxtyping import Int64
from torch import Tensor

from landscope.problem import Batch, Problem


def example_chunks(
    problem: Problem, size: int, order: Int64[Tensor, " n"] | None = None
) -> Iterator[tuple[Batch, Int64[Tensor, " T"]]]:
    """Examples in chunks, each with the places of its loss terms in the order of the data.

    Parameters
    ----------
    problem : Problem
        Whose data to visit.
    size : int
        Most examples in a chunk.
    order : Tensor, shape (n,), optional
        Examples in the order in which they are to come. Batches that cannot be joined (sequences
        of several lengths) are visited one after the other, each in this order. A batch that is
        not divisible comes whole.
    """
    places = term_places(problem)
    if not all(batch.divisible for batch in problem.batches):
        yield problem.batches[0], torch.cat(places)
        return
    lengths = [batch.num_rows for batch in problem.batches]
    if order is None:
        order = torch.arange(sum(lengths))
    batch_of = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    row_in_batch = torch.cat([torch.arange(length) for length in lengths])
    in_one = [order] if joinable(problem) else [
        order[batch_of[order] == b] for b in range(len(lengths))
    ]  # fmt: skip
    for examples in in_one:
        for chunk in examples.split(size):
            # Batch by batch, then back into the order asked for.
            by_batch = batch_of[chunk].argsort(stable=True)
            pieces = [
                problem.batches[b].take(
                    row_in_batch[chunk[by_batch][batch_of[chunk][by_batch] == b]]
                )
                for b in batch_of[chunk].unique().tolist()
            ]
            joined = pieces[0] if len(pieces) == 1 else Batch.join(pieces)
            if not torch.equal(by_batch, torch.arange(len(chunk))):
                joined = joined.take(by_batch.argsort())
            terms = torch.cat([places[i] for i in chunk.tolist()])
            if len(terms):
                yield joined, terms


def term_places(problem: Problem) -> list[Int64[Tensor, " T"]]:
    """Which loss terms, counted in the order of the data, each example has."""
    places: list[Tensor] = []
    seen = 0
    for batch in problem.batches:
        counts = batch.is_term.view(batch.num_rows, -1).sum(1).tolist()
        for count in counts:
            places.append(torch.arange(seen, seen + count))
            seen += count
    return places


def joinable(problem: Problem) -> bool:
    """Whether examples of different batches fit into one: not sequences of several lengths."""
    if len({batch.rows_per_example for batch in problem.batches}) > 1:
        return False
    try:
        Batch.join([batch.take(torch.zeros(1, dtype=torch.long)) for batch in problem.batches])
    except ValueError:
        return False
    return True
