"""The Gram matrix A Aᵀ of the Gauss–Newton matrix, and through it G's exact spectrum."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psutil
import scipy.linalg
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from landscope import arguments as check
from landscope.operators.outer_products import add_outer_product, add_rank_one_gram
from landscope.problem import Problem, checked_problem
from landscope.problem.losses import hessian_factor
from landscope.products import LayerwiseJacobian
from landscope.products.gradient_blocks import OuterProducts
from landscope.products.layerwise_jacobian import Part

COLUMN_BYTES = 9 * 2**28
"""What the columns of A that are held at a time may take (2.25 GB)."""

CUTS = 8
"""A layer is cut where it has more than one such share of them."""


@dataclass(frozen=True)
class GramEigenpairs:
    """Eigenpairs of the Gauss–Newton matrix from its Gram, exact to rounding.

    Attributes
    ----------
    values : Tensor, shape (r,)
        Descending, in loss per weight².
    vectors : Tensor, shape (D, r)
        Orthonormal columns in weight space.
    residuals : Tensor, shape (r,)
        ‖Gv − λv‖ with G applied anew.
    """

    values: Float64[Tensor, " r"]
    vectors: Float[Tensor, "D r"]
    residuals: Float64[Tensor, " r"]


def gram_spectrum(problem: Problem) -> Float64[Tensor, " r"]:
    """All nonzero eigenvalues of the Gauss–Newton matrix G, exact, in descending order.

    Parameters
    ----------
    problem : Problem
        The model, loss and data at one point of weight space.

    Returns
    -------
    Tensor, shape (r,), float64
        r = min(N(C−1), D) eigenvalues at most (NC for losses other than cross-entropy), those
        below the rounding of the largest left out; in units of loss per weight².

    Raises
    ------
    ValueError
        When neither matrix fits into memory (`low_rank_spectrum` does).

    See Also
    --------
    gram_eigenpairs : the eigenvectors too.
    low_rank_spectrum : the largest eigenvalues, and the trace of the rest.

    Notes
    -----
    M^μ = S^μ (S^μ)ᵀ with C−1 columns for cross-entropy, so that G = AᵀA with A^μ = (S^μ)ᵀ J^μ/√N.
    The smaller of AAᵀ (N(C−1) × N(C−1)) and AᵀA (D × D) is summed in float64 over groups of
    layers, whose columns of A are computed in the problem's dtype and held one group at a time,
    and diagonalised in float64. In float32 eigenvalues are right to about 10⁻⁶ of the largest.

    The sum takes n²D operations for n = N(C−1) rows, the eigenvalues 4n³/3 slower ones: beyond
    some 50,000 parameters, layers of rank one apart, the sum takes most of the time at n = 9,000.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> _ = torch.manual_seed(0)
    >>> problem = ls.Problem(torch.nn.Linear(2, 2), (torch.eye(2), torch.arange(2)))
    >>> len(ls.gram_spectrum(problem))
    2
    """
    problem = checked_problem(problem).gathered()
    factor = _factor(problem)
    if factor.shape[2] == 0:
        return factor.new_zeros(0)
    small, _ = _smaller_square(LayerwiseJacobian(problem), factor)
    values = torch.linalg.eigvalsh(small, UPLO="U").flip(0)
    return values[values > _rounding(values, problem.dtype)].cpu()


def gram_eigenpairs(problem: Problem, k: int | None = None) -> GramEigenpairs:
    """Eigenpairs of the Gauss–Newton matrix G for its k largest, or all nonzero, eigenvalues.

    Parameters
    ----------
    problem : Problem
        The model, loss and data at one point of weight space.
    k : int, optional
        How many; by default all nonzero ones (D × r numbers).

    Returns
    -------
    GramEigenpairs
        Fewer than k where G has fewer nonzero eigenvalues.

    Raises
    ------
    ValueError
        For k below 1, or when neither matrix fits into memory.

    Notes
    -----
    From AAᵀ u = λu follows G v = λv with v = Aᵀu/√λ.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> _ = torch.manual_seed(0)
    >>> problem = ls.Problem(torch.nn.Linear(2, 2), (torch.eye(2), torch.arange(2)))
    >>> ls.gram_eigenpairs(problem).vectors.shape
    torch.Size([6, 2])
    """
    if k is not None:
        k = check.whole("k", k)
    problem = checked_problem(problem).gathered()
    factor = _factor(problem)
    if factor.shape[2] == 0:
        vectors = problem.parameters_vector().new_zeros(problem.num_params, 0)
        return GramEigenpairs(factor.new_zeros(0), vectors, factor.new_zeros(0))
    J = LayerwiseJacobian(problem)
    small, in_weight_space = _smaller_square(J, factor)
    n = len(small)
    # The upper triangle by rows is the lower one by columns, as LAPACK reads it.
    found = scipy.linalg.eigh(
        small.cpu().numpy().T,
        lower=True,
        overwrite_a=True,
        driver="evr" if k and k < n else "evd",
        subset_by_index=(n - k, n - 1) if k and k < n else None,
    )
    values, u = (torch.from_numpy(part.copy()).flip(-1).to(problem.device) for part in found)
    kept = values > _rounding(values, problem.dtype)
    values, u = values[kept], u[:, kept]
    vectors = u if in_weight_space else _adjoint(J, factor, u) / values.sqrt()
    Gv = _adjoint(J, factor, _forward(J, factor, vectors))
    return GramEigenpairs(
        values.cpu(),
        vectors.to(problem.dtype),
        (Gv - vectors * values).norm(dim=0).cpu(),
    )


def gram_matrix(
    J: LayerwiseJacobian, factor: Float[Tensor, "N C K"] | None = None, rank_one: bool = True
) -> Float64[Tensor, "n n"]:
    """A Aᵀ for A = J, or for the rows (S^μ)ᵀ J^μ: by example, then logit (or column of S).

    Only its upper triangle is filled. The columns of A come from one group of layers after the
    other; a layer whose gradients are single outer products g xᵀ has no columns but gives
    (g·g′)(x·x′), unless ``rank_one`` is false.
    """
    problem = J.problem
    N, K = problem.num_examples, problem.num_classes if factor is None else factor.shape[2]
    total = torch.zeros(N * K, N * K, dtype=torch.float64, device=problem.device)
    most = max(1, COLUMN_BYTES // (N * K * problem.dtype.itemsize))
    groups = _groups(J, most, rank_one)
    held = total.new_empty(N * K * max(map(_width, groups)), dtype=problem.dtype)
    for group in groups:
        width = _width(group)
        columns = held[: N * K * width].view(N, K, width)
        products = _Products(N)
        by_rows = [part for part, num_columns in group if num_columns]
        for chunk in J.chunks([part for part, _ in group], factor, as_rows=by_rows):
            terms = slice(int(chunk.terms[0]), int(chunk.terms[-1]) + 1)
            start = 0
            for i, ((_, num_columns), block) in enumerate(zip(group, chunk.blocks, strict=True)):
                if num_columns:
                    columns[terms, :, start : start + num_columns] = block.rows()
                    start += num_columns
                elif isinstance(block, OuterProducts):
                    products.put(i, chunk.terms, block)
                else:  # the layer was called otherwise on this chunk
                    return gram_matrix(J, factor, rank_one=False)
        add_outer_product(total, columns.flatten(0, 1))
        for inputs, gradients in products.pairs():
            add_rank_one_gram(total, inputs, gradients)
    return total


def gauss_newton_trace(problem: Problem) -> float:
    """Exact trace of G = AᵀA: the squared lengths of all rows of A, in one pass."""
    total = torch.zeros((), dtype=torch.float64, device=problem.device)
    return float(problem.over_ranks(lambda: total + _own_trace(problem), like=total))


def _own_trace(problem: Problem) -> float:
    """What this process's data have in the trace of G."""
    local = problem.local
    factor = _factor(local) * (local.normalizer / problem.normalizer) ** 0.5
    if factor.shape[2] == 0:
        return 0.0
    J = LayerwiseJacobian(local)
    return sum(
        float(block.gram().diagonal(dim1=1, dim2=2).sum(dtype=torch.float64))
        for chunk in J.chunks(J.parts(), factor)
        for block in chunk.blocks
    )


class _Products:
    """The inputs and output gradients of rank-one layers on all terms."""

    def __init__(self, num_terms: int) -> None:
        self._num_terms = num_terms
        self._found: dict[int, tuple[Tensor, Tensor]] = {}

    def put(self, layer: int, terms: Tensor, block: OuterProducts) -> None:
        parts = block.inputs[:, 0, :, 0], block.gradients[:, :, 0, :, 0]
        if layer not in self._found:
            inputs, gradients = (x.new_empty(self._num_terms, *x.shape[1:]) for x in parts)
            self._found[layer] = inputs, gradients
        for whole, part in zip(self._found[layer], parts, strict=True):
            whole[terms] = part

    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        return list(self._found.values())


def _smaller_square(
    J: LayerwiseJacobian, factor: Float[Tensor, "N C K"]
) -> tuple[Float64[Tensor, "n n"], bool]:
    """A Aᵀ or AᵀA, whichever is smaller (its upper triangle), and whether it is the latter."""
    n, D = factor.shape[0] * factor.shape[2], J.problem.num_params
    needed = 3 * 8 * min(n, D) ** 2  # the matrix, its copy in LAPACK, and room to work
    if J.problem.device.type == "cpu" and needed > psutil.virtual_memory().available:
        raise ValueError(
            f"problem has {n} rows of G's factor and {D} parameters: a dense matrix of the smaller "
            f"size takes {needed / 2**30:.0f} GB with room to work, more than is free; use "
            "low_rank_spectrum"
        )
    return (gram_matrix(J, factor), False) if n <= D else (_weight_matrix(J, factor), True)


def _weight_matrix(J: LayerwiseJacobian, factor: Float[Tensor, "N C K"]) -> Float64[Tensor, "D D"]:
    """The upper triangle of G = AᵀA itself."""
    D = J.problem.num_params
    total = torch.zeros(D, D, dtype=torch.float64, device=factor.device)
    for _, rows in _rows(J, factor):
        add_outer_product(total, rows.flatten(0, 1).T)
    return total


def _rows(
    J: LayerwiseJacobian, factor: Float[Tensor, "N C K"]
) -> Iterator[tuple[Tensor, Float[Tensor, "T K D"]]]:
    """Rows of A, some terms at a time, whole."""
    parts = J.parts()
    for chunk in J.chunks(parts, factor, as_rows=parts):
        rows = factor.new_empty(
            len(chunk.terms), factor.shape[2], J.problem.num_params, dtype=J.problem.dtype
        )
        for part, block in zip(parts, chunk.blocks, strict=True):
            rows[:, :, part.columns] = block.rows()
        yield chunk.terms, rows


def _forward(
    J: LayerwiseJacobian, factor: Float[Tensor, "N C K"], vectors: Float64[Tensor, "D r"]
) -> Float64[Tensor, "n r"]:
    """A V."""
    N, _, K = factor.shape
    products = vectors.new_zeros(N, K, vectors.shape[1])
    parts = J.parts()
    for chunk in J.chunks(parts, factor, as_rows=parts):
        for part, block in zip(parts, chunk.blocks, strict=True):
            rows = block.rows()
            products[chunk.terms] += rows @ vectors[part.columns].to(rows.dtype)
    return products.flatten(0, 1)


def _adjoint(
    J: LayerwiseJacobian, factor: Float[Tensor, "N C K"], u: Float64[Tensor, "n r"]
) -> Float64[Tensor, "D r"]:
    """Aᵀ U."""
    by_term = u.unflatten(0, (-1, factor.shape[2]))
    products = u.new_zeros(J.problem.num_params, u.shape[1])
    parts = J.parts()
    for chunk in J.chunks(parts, factor, as_rows=parts):
        weights = by_term[chunk.terms].flatten(0, 1)
        for part, block in zip(parts, chunk.blocks, strict=True):
            rows = block.rows().flatten(0, 1)
            products[part.columns] += rows.T @ weights.to(rows.dtype)
    return products


def _groups(J: LayerwiseJacobian, most: int, rank_one: bool) -> list[list[tuple[Part, int]]]:
    """Parts of at most so many columns of A together, each with how many it needs.

    Rank-one layers need none. The first layers come first: the passes to them are the longest,
    so that one should fill its group. Layers are cut so that little of a group stays empty.
    """
    groups: list[list[tuple[Part, int]]] = [[]]
    for part in reversed(J.parts(max(1, most // CUTS), cut_rank_one=not rank_one)):
        num_columns = 0 if rank_one and part.rank_one else part.num_columns
        if groups[-1] and _width(groups[-1]) + num_columns > most:
            groups.append([])
        groups[-1].append((part, num_columns))
    return groups


def _width(group: Sequence[tuple[Part, int]]) -> int:
    """Columns of A that a group needs."""
    return sum(num_columns for _, num_columns in group)


def _factor(problem: Problem) -> Float64[Tensor, "N C K"]:
    """S^μ/√N for every term, with M^μ = S^μ (S^μ)ᵀ."""
    S = hessian_factor(problem.loss_terms, problem.logits().double(), problem.targets())
    return S / problem.normalizer**0.5


def _rounding(values: Float64[Tensor, " n"], dtype: torch.dtype) -> float:
    """What counts as zero beside these eigenvalues, all of which should be at least zero."""
    if not len(values):
        return 0.0
    relative = max(torch.finfo(dtype).eps, len(values) * torch.finfo(torch.float64).eps)
    return max(relative * float(values.max()), -float(values.min()))
