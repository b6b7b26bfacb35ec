"""The Gram matrix A Aᵀ of the Gauss–Newton matrix, and through it G's exact spectrum."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.problem import Problem
from landscope.problem.losses import hessian_factor
from landscope.products import jacobian_rows
from landscope.products.jacobian_rows import CHUNK_BYTES


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
    small = _gram(problem) if _num_rows(problem) <= problem.num_params else _weight_space(problem)
    values = torch.linalg.eigvalsh(small).flip(0)
    rounding = torch.finfo(problem.dtype).eps * len(values) * values[:1].abs()
    return values[values > rounding].cpu()


def _num_rows(problem: Problem) -> int:
    return problem.num_examples * problem.num_classes


def _gram(problem: Problem) -> Float[Tensor, "NC NC"]:
    """A Aᵀ by pairs of chunks; chunks are recomputed unless all of A fits in one."""
    gram = torch.zeros((_num_rows(problem),) * 2, dtype=torch.float64, device=problem.device)
    start = 0
    for i, left in enumerate(factor_rows(problem)):
        stop = start + len(left)
        gram[start:stop, start:stop] = left @ left.T
        column = 0
        if stop < len(gram):
            for j, right in enumerate(factor_rows(problem)):
                end = column + len(right)
                if j > i:
                    gram[start:stop, column:end] = left @ right.T
                    gram[column:end, start:stop] = gram[start:stop, column:end].T
                column = end
        start = stop
    return gram


def _weight_space(problem: Problem) -> Float[Tensor, "D D"]:
    """AᵀA, accumulated over chunks."""
    G = torch.zeros((problem.num_params,) * 2, dtype=torch.float64, device=problem.device)
    for rows in factor_rows(problem):
        G += (rows.T @ rows).double()
    return G


def factor_rows(problem: Problem) -> Iterator[Float[Tensor, "TC D"]]:
    """Rows of A, with G = AᵀA, some examples at a time.

    Yields
    ------
    Tensor, shape (T·C, D), float64
        (S^μ)ᵀ J^μ/√N for the loss terms μ of one chunk.
    """
    start = 0
    targets, logits = problem.targets(), problem.logits()
    for rows in jacobian_rows(problem, CHUNK_BYTES):
        terms = slice(start, start + len(rows))
        S = hessian_factor(problem.loss_terms, logits[terms].double(), targets[terms])
        yield (S.mT @ rows.double()).flatten(0, 1) / problem.normalizer**0.5
        start += len(rows)
