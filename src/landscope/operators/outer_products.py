"""Sums of outer products F Fᵀ, tile by tile, in float64."""

import torch
from jaxtyping import Float
from torch import Tensor

TILE = 1024
"""Columns of one tile, and most rows."""

STRIP = 256
"""Rows of one tile along the diagonal: half of such a square is computed for nothing."""

DEPTH = 16384
"""Columns of F that are multiplied in F's own dtype before they are added up in float64."""


def add_outer_product(total: Float[Tensor, "n n"], factor: Float[Tensor, "n p"]) -> None:
    """Add F Fᵀ to the upper triangle of a float64 matrix.

    Examples
    --------
    >>> import torch
    >>> total = torch.zeros(2, 2, dtype=torch.float64)
    >>> add_outer_product(total, torch.tensor([[1.0], [2.0]]))
    >>> total.triu()
    tensor([[1., 2.],
            [0., 4.]], dtype=torch.float64)
    """
    step = DEPTH if factor.dtype != torch.float64 else max(1, factor.shape[1])
    for depth in tiles(factor.shape[1], step):
        for rows in tiles(len(factor), STRIP):
            for columns in tiles(len(factor), TILE, rows.start):
                total[rows, columns] += factor[rows, depth] @ factor[columns, depth].T


def add_rank_one_gram(
    total: Float[Tensor, "NK NK"], inputs: Float[Tensor, "N n"], gradients: Float[Tensor, "N K o"]
) -> None:
    """Add the inner products of all g_k^μ (x^μ)ᵀ to the upper triangle of a float64 matrix.

    (g_k^μ·g_l^ν)(x^μ·x^ν): no outer product is formed.
    """
    K = gradients.shape[1]
    step = max(1, TILE // K)
    for some in tiles(len(inputs), step):
        for others in tiles(len(inputs), step, some.start):
            among_inputs = inputs[some] @ inputs[others].T
            products = gradients[some].flatten(0, 1) @ gradients[others].flatten(0, 1).T
            products.view(len(among_inputs), K, -1, K).mul_(among_inputs[:, None, :, None])
            rows, columns = (slice(K * s.start, K * s.stop) for s in (some, others))
            total[rows, columns] += products


def fill_lower(total: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """The symmetric matrix whose upper triangle this is, in place."""
    for rows in tiles(len(total), TILE):
        for columns in tiles(len(total), TILE, rows.start):
            block = total[rows, columns]
            total[columns, rows] = block.T if rows != columns else block.triu() + block.triu(1).T
    return total


def tiles(length: int, step: int, start: int = 0) -> list[slice]:
    """Slices of at most this step that cover start to length."""
    return [slice(i, min(i + step, length)) for i in range(start, length, step)]
