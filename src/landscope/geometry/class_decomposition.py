"""Where the outliers of G come from: class means, cross-class means, and what is within classes."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor
from torch.nn.functional import one_hot

from landscope import arguments as check
from landscope.geometry.class_labels import class_labels
from landscope.geometry.curvature import default_num_eigenvalues
from landscope.geometry.plain_cross_entropy import refuse_other_losses
from landscope.geometry.tangent_kernel import kernel_matrix
from landscope.problem import Problem
from landscope.random_model.memory import refuse_beyond_memory

PARTS = ("class means", "cross-class means", "within class", "true class")
"""The four parts that G is the sum of."""


@dataclass(frozen=True)
class ClassDecomposition:
    """The Gauss–Newton matrix as a sum of four parts, exact.

    Attributes
    ----------
    eigenvalues : Tensor, shape (k,)
        The largest of G, descending, in loss per weight².
    shares : Tensor, shape (k, 4)
        vᵀG_part v/λ on each eigenpair (λ, v) of G; each row sums to 1.
    part_eigenvalues : Tensor, shape (4, k)
        The largest of each part, descending; zero beyond its rank.
    traces : Tensor, shape (4,)
        Tr G_part; their sum is Tr G.
    """

    eigenvalues: Float64[Tensor, " k"]
    shares: Float64[Tensor, "k 4"]
    part_eigenvalues: Float64[Tensor, "4 k"]
    traces: Float64[Tensor, "4"]


def class_decomposition(problem: Problem, k: int | None = None) -> ClassDecomposition:
    r"""Decompose the Gauss–Newton matrix by class means, cross-class means and deviations.

    Parameters
    ----------
    problem : Problem
        With the plain cross-entropy, class labels and at least two logits.
    k : int, optional
        Number of eigenvalues; by default 2C, at least C + 10, at most the rank that G can have.

    Returns
    -------
    ClassDecomposition
        Eigenvalues of G and of its parts in the order of `PARTS`, and what each part has in G's
        top eigenvectors.

    Raises
    ------
    ValueError
        For another loss, a single logit, or k outside 1 to min(N(C − 1), D).
    MemoryError
        Where the kernel of all N·C logit gradients does not fit into memory.

    Notes
    -----
    g_{c'}^μ = (p^μ − e_{c'})ᵀJ^μ is the gradient that example μ would have were its class c', and
    w_{c'}^μ = p_{c'}^μ/N its weight. Then G = Σ_μ Σ_{c'} w g gᵀ, since
    Σ_{c'} p_{c'}(p − e_{c'})(p − e_{c'})ᵀ = diag(p) − ppᵀ. With μ of true class c and c' ≠ c,
    cross-class means g_{c,c'} are weighted means over the examples of class c, and class means g_c
    those of g_{c,c'} over c'. The parts are Σ_c w_c g_c g_cᵀ; Σ_{c,c'} w_{c,c'} of the deviations
    g_{c,c'} − g_c; Σ_μ Σ_{c'≠c} w of the deviations g_{c'}^μ − g_{c,c'}; and the terms c' = c. All
    of it follows from the kernel JJᵀ. Papyan 2019, arXiv:1901.08244.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> _ = torch.manual_seed(0)
    >>> problem = ls.Problem(torch.nn.Linear(4, 3), (torch.randn(30, 4), torch.arange(30) % 3))
    >>> parts = ls.class_decomposition(problem, k=2)
    >>> torch.allclose(parts.shares.sum(1), torch.ones(2).double())
    True
    """
    refuse_other_losses(problem, "the decomposition by classes")
    N, C = problem.num_examples, problem.num_classes
    if C < 2:
        raise ValueError(f"problem has {C} logit; the decomposition by classes needs two")
    rank = min(N * (C - 1), problem.num_params)
    k = min(default_num_eigenvalues(problem), rank) if k is None else k
    k = check.whole("k", k, 1, rank, "min(N(C − 1), D)")
    refuse_beyond_memory(8 * 6 * (N * C) ** 2, f"the kernel of {N} examples and {C} logits")
    K = kernel_matrix(problem)
    parts = _parts(problem.logits().double().softmax(1), class_labels(problem))
    # G = BᵀB, B the rows of all four parts: its Gram matrix has G's nonzero spectrum.
    rows, sizes = torch.cat(parts), [len(part) for part in parts]
    gram = rows @ K @ rows.T
    values, a = torch.linalg.eigh(gram)
    values, a = values.flip(0)[:k], a.flip(1)[:, :k]
    # With v = Bᵀa/√λ one has vᵀG_part v/λ = ‖B_part Bᵀa‖²/λ² = ‖a_part‖².
    squares = [part.square().sum(0) for part in a.split(sizes)]
    ends = torch.tensor(sizes).cumsum(0).tolist()
    grams = [
        gram[end - size : end, end - size : end] for size, end in zip(sizes, ends, strict=True)
    ]
    spectra = [torch.linalg.eigvalsh(part).flip(0)[:k].clamp_min(0) for part in grams]
    padded = [torch.nn.functional.pad(one, (0, k - len(one))) for one in spectra]
    return ClassDecomposition(
        eigenvalues=values.cpu(),
        shares=torch.stack(squares, 1).cpu(),
        part_eigenvalues=torch.stack(padded).cpu(),
        traces=torch.stack([part.trace() for part in grams]).cpu(),
    )


def _parts(p: Float64[Tensor, "N C"], labels: Int64[Tensor, " N"]) -> list[Float64[Tensor, "r NC"]]:
    """For each part rows b of coefficients with which G_part = Σ (b·J)ᵀ(b·J)."""
    N, C = p.shape
    of_class = one_hot(labels, C).to(p)
    is_true = of_class.bool()
    if_class = p[:, None, :] - torch.eye(C).to(p)  # g_{c'}^μ = if_class[μ, c'] · J^μ
    weights = p / N
    of_others = weights.masked_fill(is_true, 0)

    # Means as coefficients of all J_k^μ: indexed [c, (c',) μ, k].
    cross_weights = of_class.T @ of_others
    cross = torch.einsum("mc,md,mdk->cdmk", of_class, of_others, if_class)
    cross = _over(cross, cross_weights[:, :, None, None])
    class_weights = cross_weights.sum(1)
    means = torch.einsum("cd,cdmk->cmk", cross_weights, cross)
    means = _over(means, class_weights[:, None, None])

    other = ~torch.eye(C, dtype=torch.bool, device=p.device)
    deviations = cross_weights.sqrt()[:, :, None, None] * (cross - means[:, None])
    single = torch.einsum("mn,mdk->mdnk", torch.eye(N).to(p), if_class)
    within = of_others.sqrt()[:, :, None, None] * (single - cross[labels])
    true = (weights * of_class).sum(1).sqrt()[:, None, None] * single[is_true]
    rows = [
        class_weights.sqrt()[:, None, None] * means,
        deviations[other],
        within[~is_true],
        true,
    ]
    return [part.flatten(1) for part in rows]


def _over(total: Tensor, weight: Tensor) -> Tensor:
    """Mean from a weighted sum; zero where nothing has weight."""
    return torch.where(weight > 0, total / weight.clamp_min(torch.finfo(weight.dtype).tiny), 0.0)
