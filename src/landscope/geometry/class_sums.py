"""Sums of logit gradients over classes, and their inner products: all that clustering needs."""

from collections.abc import Sequence
from dataclasses import dataclass

import psutil
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from landscope.operators.outer_products import add_outer_product, fill_lower
from landscope.problem import Problem
from landscope.products import LayerwiseJacobian
from landscope.products.example_chunks import term_places
from landscope.products.gradient_blocks import Groups
from landscope.products.layerwise_jacobian import Chunk, Part

MEMORY_SHARE = 0.4
"""Share of the free memory that class sums may take by default."""


@dataclass(frozen=True)
class ClassSums:
    """Sums over classes a of J_k^μ and of u_k^μ = J_k^μ/‖J_k^μ‖ (zero where J is).

    Attributes
    ----------
    norms : Tensor, shape (N, C)
        ‖J_k^μ‖.
    same_example : Tensor, shape (A, C, C)
        Σ_{μ∈a} u_k^μ·u_l^μ, indexed [a, k, l].
    unit_gram : Tensor, shape (C, A, C, A)
        (Σ_{μ∈a} u_k^μ)·(Σ_{ν∈b} u_l^ν), indexed [k, a, l, b].
    gram : Tensor, shape (C, A, C, A)
        (Σ_{μ∈a} J_k^μ)·(Σ_{ν∈b} J_l^ν), indexed [k, a, l, b].
    sums : Tensor, shape (C, D)
        Σ_μ J_k^μ over all examples.
    """

    norms: Float64[Tensor, "N C"]
    same_example: Float64[Tensor, "A C C"]
    unit_gram: Float64[Tensor, "C A C A"]
    gram: Float64[Tensor, "C A C A"]
    sums: Float64[Tensor, "C D"]


def class_sums(
    problem: Problem,
    labels: Int64[Tensor, " N"],
    num_classes: int,
    memory_limit: int | None = None,
) -> ClassSums:
    """Sum logit gradients over classes, within a limit of memory that does not depend on N.

    Parameters
    ----------
    problem : Problem
        Whose logit gradients.
    labels : Tensor, shape (N,)
        Class of each loss term, 0 to A − 1.
    num_classes : int
        A, the number of classes.
    memory_limit : int, optional
        Bytes for the 2·A·C·D sums, by default 40 % of what is free: where they take more, a first
        pass finds the norms, and each further one the sums of some layers.
    """
    A, C = num_classes, problem.num_classes
    with problem.together():
        J = LayerwiseJacobian(problem.local)
        if memory_limit is None:
            memory_limit = int(MEMORY_SHARE * psutil.virtual_memory().available)
    if problem.ranks:  # the smallest of all: they visit the same layers
        memory_limit = -int(problem.ranks.largest(torch.tensor(-memory_limit)))
    visits = _visits(J, max(1, memory_limit // (2 * 8 * A * C)))
    found = _Accumulated(problem.local, labels[problem.own_terms], A)
    if len(visits) > 1:
        with problem.together():
            everything = J.parts()
            for chunk in J.chunks(everything, order=found.order):
                found.add_norms(chunk)
    for parts in visits:
        widths = [part.num_columns for part in parts]
        zeros = found.norms.new_zeros(2, A, C, sum(widths))

        def add_up(
            parts: list[Part] = parts, widths: list[int] = widths, total: Tensor = zeros
        ) -> Tensor:
            for chunk in J.chunks(parts, order=found.order):
                if len(visits) == 1:
                    found.add_norms(chunk)
                found.add_sums(chunk, total.split(widths, dim=3))
            return total

        found.reduce(parts, problem.over_ranks(add_up, like=zeros).split(widths, dim=3))
    found.norms = problem.rows_over_ranks(lambda: found.norms)
    found.same_example = problem.over_ranks(lambda: found.same_example, like=found.same_example)
    return found.result()


class _Accumulated:
    """What one visit after the other adds up."""

    def __init__(self, problem: Problem, labels: Int64[Tensor, " N"], num_classes: int) -> None:
        A, N, C, D = num_classes, problem.num_examples, problem.num_classes, problem.num_params
        self.labels = labels.cpu()
        self.order = _by_class(problem, self.labels)
        zeros = torch.zeros(0, dtype=torch.float64, device=problem.device).new_zeros
        self.dtype = problem.dtype
        self.norms = zeros(N, C)
        self.same_example = zeros(A, C, C)
        self.grams = zeros(2, A * C, A * C)  # of unit sums and of sums, each [(a, k), (b, l)]
        self.sums = zeros(C, D)

    def add_norms(self, chunk: Chunk) -> None:
        """‖J_k^μ‖, and the products of unit gradients of the same example."""
        gram = sum(block.gram().double() for block in chunk.blocks)
        assert isinstance(gram, Tensor)
        norms = gram.diagonal(dim1=1, dim2=2).clamp_min(0).sqrt()
        self.norms[chunk.terms] = norms
        inverse = _inverse(norms)
        cosines = inverse[:, :, None] * gram * inverse[:, None, :]
        for label, group in zip(*self._groups(chunk), strict=True):
            self.same_example[label] += cosines[group].sum(0)

    def add_sums(self, chunk: Chunk, totals: Sequence[Tensor]) -> None:
        """Class by class, of unit gradients and of gradients, for the chunk's blocks."""
        unit = _inverse(self.norms[chunk.terms])
        weights = torch.stack([unit, torch.ones_like(unit)]).to(self.dtype)
        classes, groups = self._groups(chunk)
        for total, block in zip(totals, chunk.blocks, strict=True):
            for label, partial in zip(classes, block.sums(weights, groups), strict=True):
                total[:, label] += partial

    def reduce(self, parts: Sequence[Part], totals: Sequence[Tensor]) -> None:
        """Inner products of the class sums of these parts, and their sum over classes."""
        for part, total in zip(parts, totals, strict=True):
            for gram, class_sums in zip(self.grams, total, strict=True):
                add_outer_product(gram, class_sums.flatten(0, 1).to(self.dtype))
            self.sums[:, part.columns] = total[1].sum(0)

    def result(self) -> ClassSums:
        A, C, _ = self.same_example.shape
        unit_gram, gram = (
            fill_lower(gram).view(A, C, A, C).permute(1, 0, 3, 2) for gram in self.grams
        )
        return ClassSums(self.norms, self.same_example, unit_gram, gram, self.sums)

    def _groups(self, chunk: Chunk) -> tuple[list[int], Groups]:
        """Classes of the chunk, and where their terms are: contiguous when visited by class."""
        labels = self.labels[chunk.terms]
        classes = labels.unique().tolist()
        groups: list[slice | Tensor] = []
        for label in classes:
            where = (labels == label).nonzero()[:, 0]
            first, last = int(where[0]), int(where[-1])
            groups.append(slice(first, last + 1) if last - first + 1 == len(where) else where)
        return classes, groups


def _visits(J: LayerwiseJacobian, max_columns: int) -> list[list[Part]]:
    """All parts at once where they have no more columns than that, else group by group."""
    if J.problem.num_params <= max_columns:
        return [J.parts()]
    visits: list[list[Part]] = [[]]
    taken = 0
    for part in J.parts(max_columns):
        if visits[-1] and taken + part.num_columns > max_columns:
            visits.append([])
            taken = 0
        visits[-1].append(part)
        taken += part.num_columns
    return visits


def _by_class(problem: Problem, labels: Int64[Tensor, " N"]) -> Tensor | None:
    """Examples sorted by class, where each has one class: then a chunk has few classes."""
    places = term_places(problem)
    if max(len(terms) for terms in places) > 1:
        return None
    with_term = torch.tensor([i for i, terms in enumerate(places) if len(terms)])
    return with_term[labels.argsort(stable=True)]


def _inverse(norms: Float64[Tensor, "T C"]) -> Float64[Tensor, "T C"]:
    """1/‖J‖, and 0 where J is zero."""
    return torch.where(norms > 0, 1 / norms.clamp_min(torch.finfo(torch.float64).tiny), 0.0)
