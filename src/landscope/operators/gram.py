"""The Gram matrix A Aᵀ of the Gauss–Newton matrix, and through it G's exact spectrum."""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.problem import Problem
from landscope.problem.losses import hessian_factor
from landscope.products import jacobian_rows


def gram_spectrum(problem: Problem) -> Float[Tensor, " r"]:
    """All nonzero eigenvalues of the Gauss–Newton matrix G, exact, in descending order.

    Parameters
    ----------
    problem : Problem
        The model, loss and data at one point of weight space.

    Returns
    -------
    Tensor, shape (r,), float64
        r = min(N·C, D) eigenvalues at most, those below the rounding of the largest left out;
        in units of loss per weight².

    Notes
    -----
    M^μ = S^μ (S^μ)ᵀ gives G = AᵀA with A^μ = (S^μ)ᵀ J^μ/√N. The smaller of AAᵀ (N·C × N·C) and
    AᵀA (D × D) is built from chunks of A, of which no more than two are held at a time, and
    diagonalised in float64.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> _ = torch.manual_seed(0)
    >>> problem = ls.Problem(torch.nn.Linear(2, 2), (torch.eye(2), torch.arange(2)))
    >>> len(ls.gram_spectrum(problem))
    2
    """
    one = hessian_factor(problem.loss_terms, problem.logits()[:1], problem.targets()[:1])
    num_rows = problem.num_examples * one.shape[2]
    if num_rows <= problem.num_params:
        small = gram_matrix(lambda: factor_rows(problem), num_rows)
    else:
        small = torch.zeros(problem.num_params, problem.num_params, dtype=torch.float64)
        for rows in factor_rows(problem):
            small += (rows.T @ rows).cpu()
    values = torch.linalg.eigvalsh(small).flip(0)
    rounding = torch.finfo(problem.dtype).eps * len(values) * values[:1].abs()
    return values[values > rounding].cpu()


def gram_matrix(
    rows: Callable[[], Iterator[Float[Tensor, "r D"]]], num_rows: int
) -> Float[Tensor, "n n"]:
    """Inner products of rows that come in chunks, in float64.

    Chunks are recomputed for each pair, so that no more than two are held at a time.

    Parameters
    ----------
    rows : callable
        Gives a fresh iterator over the chunks of rows, each of shape (r, D).
    num_rows : int
        n, the number of rows in all chunks.
    """
    gram: Tensor | None = None
    start = 0
    for i, left in enumerate(rows()):
        left = left.double()
        if gram is None:
            gram = left.new_empty(num_rows, num_rows)
        stop = start + len(left)
        gram[start:stop, start:stop] = left @ left.T
        column = 0
        for j, right in enumerate(rows() if stop < num_rows else ()):
            end = column + len(right)
            if j > i:
                block = left @ right.double().T
                gram[start:stop, column:end] = block
                gram[column:end, start:stop] = block.T
            column = end
        start = stop
    assert gram is not None, "a problem has at least one row"
    return gram


def factor_rows(problem: Problem) -> Iterator[Float[Tensor, "TC D"]]:
    """Rows of A, with G = AᵀA, some examples at a time.

    Yields
    ------
    Tensor, shape (T·C, D), float64
        (S^μ)ᵀ J^μ/√N for the loss terms μ of one chunk.
    """
    start = 0
    targets, logits = problem.targets(), problem.logits()
    for rows in jacobian_rows(problem):
        terms = slice(start, start + len(rows))
        S = hessian_factor(problem.loss_terms, logits[terms].double(), targets[terms])
        yield (S.mT @ rows.double()).flatten(0, 1) / problem.normalizer**0.5
        start += len(rows)
