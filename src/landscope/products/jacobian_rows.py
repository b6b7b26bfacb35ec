"""The rows J_k^μ of the logit Jacobian, explicitly, for as many examples as fit."""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jacrev, vmap
from torch.utils._pytree import tree_flatten, tree_unflatten

from landscope.problem import Batch, Problem
from landscope.products.jacobian_vector import value_and_pullback

CHUNK_BYTES = 256 * 2**20
"""What one chunk of explicit rows may take."""


def jacobian_rows(
    problem: Problem, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Float[Tensor, "T C D"]]:
    """Rows of the logit Jacobian, some examples at a time, in the order of the data.

    Parameters
    ----------
    problem : Problem
        Where to take them.
    chunk_bytes : int
        Bound on the size of one chunk; at least one example is taken.

    Yields
    ------
    Tensor, shape (T, C, D)
        J_k^μ for the loss terms μ of one chunk.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> model = torch.nn.Linear(2, 3, bias=False)
    >>> problem = ls.Problem(model, (torch.ones(4, 2), torch.tensor([0, 1, 2, 0])))
    >>> next(jacobian_rows(problem)).shape
    torch.Size([4, 3, 6])
    """
    row_bytes = problem.num_classes * problem.num_params * problem.dtype.itemsize
    for batch in problem.batches:
        size = max(1, chunk_bytes // (row_bytes * batch.rows_per_example))
        for piece in batch.pieces(size):
            if piece.is_term.any():
                yield _rows_of(problem, piece)


def _rows_of(problem: Problem, batch: Batch) -> Float[Tensor, "T C D"]:
    w = problem.parameters_vector()
    leaves, structure = tree_flatten(batch.data)
    along_examples = tuple(0 if isinstance(x, Tensor) and x.ndim else None for x in leaves)

    def of_example(*example: Any) -> Float[Tensor, "R C D"]:
        single = [
            x if dim is None else x[None] for x, dim in zip(example, along_examples, strict=True)
        ]
        return jacrev(problem.raw_logits(tree_unflatten(single, structure)))(w)

    try:
        rows = vmap(of_example, in_dims=along_examples)(*leaves)
    except RuntimeError:  # control flow on the data, or an operation that vmap does not know
        return torch.cat([_rows_one_by_one(problem, example) for example in batch.pieces(1)])
    return rows.flatten(0, 1)[batch.is_term]


def _rows_one_by_one(problem: Problem, batch: Batch) -> Float[Tensor, "T C D"]:
    z, pull = value_and_pullback(problem.batch_logits(batch), problem.parameters_vector())
    rows = z.new_empty(z.numel(), problem.num_params)
    for i, row in enumerate(rows):
        one_hot = torch.zeros_like(z)
        one_hot.view(-1)[i] = 1
        row.copy_(pull(one_hot))
    return rows.view(*z.shape, problem.num_params)
