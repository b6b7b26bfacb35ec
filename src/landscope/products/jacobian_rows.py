"""The rows J_k^μ of the logit Jacobian, explicitly, for as many examples as fit."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jacrev, vmap
from torch.utils._pytree import tree_flatten, tree_unflatten

from landscope.problem import Batch, Problem
from landscope.problem.measuring import measuring

CHUNK_BYTES = 256 * 2**20
"""What one chunk of explicit rows may take."""

UNMAPPABLE = (RuntimeError, TypeError, ValueError, AttributeError)
"""What `torch.vmap` raises, and packed sequences within it."""


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
    names = list(problem.unflatten(problem.parameters_vector()))
    row_bytes = problem.num_classes * problem.num_params * problem.dtype.itemsize
    for batch in problem.batches:
        size = max(1, chunk_bytes // (row_bytes * batch.rows_per_example))
        for piece in batch.pieces(size):
            if piece.is_term.any():
                yield rows_of(problem, piece, names)


@measuring()
def rows_of(problem: Problem, batch: Batch, names: Sequence[str]) -> Float[Tensor, "T C p"]:
    """∂z_k^μ/∂θ for the loss terms of one batch and these parameters θ, in this order."""
    w = problem.unflatten(problem.parameters_vector())
    chosen = {name: w[name] for name in names}
    if not batch.divisible:
        rows = _rows_one_by_one(problem, batch, chosen)
        return rows[batch.is_term.to(rows.device)]
    leaves, structure = tree_flatten(batch.data)
    along_examples = tuple(0 if isinstance(x, Tensor) and x.ndim else None for x in leaves)

    def of_example(*example: Any) -> Float[Tensor, "R C p"]:
        single = [
            x if dim is None else x[None] for x, dim in zip(example, along_examples, strict=True)
        ]
        by_name = jacrev(problem.named_logits(tree_unflatten(single, structure)))(chosen)
        return torch.cat([by_name[name].flatten(2) for name in names], dim=2)

    try:
        rows = vmap(of_example, in_dims=along_examples)(*leaves)
    except UNMAPPABLE:  # control flow on the data, or what vmap does not know
        rows = torch.stack([_rows_one_by_one(problem, x, chosen) for x in batch.pieces(1)])
    return rows.flatten(0, 1)[batch.is_term.to(rows.device)]


def _rows_one_by_one(
    problem: Problem, example: Batch, chosen: dict[str, Tensor]
) -> Float[Tensor, "R C p"]:
    leaves = {name: value.detach().requires_grad_() for name, value in chosen.items()}
    with torch.enable_grad():
        z = problem.named_logits(example.data)(leaves)
        logits = z.flatten()
    rows = z.new_zeros(z.numel(), sum(value.numel() for value in chosen.values()))
    if not logits.requires_grad:  # the model has no use for these parameters
        return rows.view(*z.shape, -1)
    for row, one_hot in zip(rows, torch.eye(len(logits)).to(z), strict=True):
        parts = torch.autograd.grad(
            logits, [*leaves.values()], one_hot, True, allow_unused=True, materialize_grads=True
        )
        torch.cat([part.flatten() for part in parts], out=row)
    return rows.view(*z.shape, -1)
