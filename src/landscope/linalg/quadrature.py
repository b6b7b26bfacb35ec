"""Gauss quadrature of a spectrum: what Lanczos runs from random probes say about it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from landscope.linalg.checkpoint import Checkpoint
from landscope.linalg.krylov import KrylovSubspace
from landscope.linalg.product import CountedProduct

HEAVIEST_SIMPLE = 10.8  # D·w of a simple eigenvalue is χ² with one degree of freedom: 99.9 %
CLEAR = 0.1  # an angle at most, to an eigenvector that no other Ritz vector is near
TELLING = 0.03  # of marks, standard normal each: closer are those of other vectors in 1 of 2000
NUM_MARKS = 2  # inner products with random vectors that tell Ritz vectors apart


@dataclass(frozen=True)
class Quadrature:
    """A spectrum as nodes with shares of its mass.

    Attributes
    ----------
    nodes : Tensor of shape (n,)
        Eigenvalues that are known, and Ritz values.
    weights : Tensor of shape (n,)
        Their shares of the mass.
    sampled : Tensor of shape (n,)
        Whether a share is that of a random probe; if not, the node is an eigenvalue.
    reach : Tensor of shape (n, 2)
        How far to its left and right a Ritz value stands for eigenvalues around it: half of
        the distance to its neighbour, or its residual if that is less.
    border : Tensor of shape (n,)
        Component along the next Krylov vector of A applied to a Ritz vector whose inner product
        with the probe is positive: its magnitude is the residual, 0 where that is rounding. For an
        eigenvalue itself, how far off it may be.
    marks : Tensor of shape (n, 2)
        Inner products of a Ritz vector with two random vectors, the same for all probes; zeros
        where nobody asked for them.
    """

    nodes: Float64[Tensor, " n"]
    weights: Float64[Tensor, " n"]
    sampled: Bool[Tensor, " n"]
    reach: Float64[Tensor, "n 2"]
    border: Float64[Tensor, " n"]
    marks: Float64[Tensor, "n 2"]

    def __getitem__(self, chosen: Bool[Tensor, " n"] | slice) -> "Quadrature":
        """Some of the nodes."""
        return Quadrature(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def at_least(self, least: float) -> "Quadrature":
        """No node below a known bound, where only rounding puts it."""
        return replace(self, nodes=self.nodes.clamp_min(least))

    def atoms(self, per_side: int = 8) -> tuple[Float64[Tensor, " a"], Float64[Tensor, " a"]]:
        """Points and weights near the spectrum: each share spread over what its node stands for.

        By Chebyshev, Markov and Stieltjes the cumulative distribution of the spectrum passes
        through each step of the quadrature's; a straight line through the steps is nearer to a
        dense spectrum than the steps are. Converged nodes stay where they are.

        Parameters
        ----------
        per_side : int
            Points on either side of a node.

        Returns
        -------
        tuple of Tensor of shape (a,)
            Points and weights.
        """
        steps = (torch.arange(per_side, dtype=torch.float64) + 0.5) / per_side
        left = self.nodes[:, None] - self.reach[:, :1] * steps
        right = self.nodes[:, None] + self.reach[:, 1:] * steps
        points = torch.cat([left, right], dim=1).flatten()
        return points, (self.weights / (2 * per_side)).repeat_interleave(2 * per_side)


def known(
    eigenvalues: Float64[Tensor, " n"], errors: Float64[Tensor, " n"], dim: int
) -> Quadrature:
    """Eigenvalues themselves, each of weight 1/D and as far off as its error says."""
    none = eigenvalues.new_zeros(len(eigenvalues), 2)
    return Quadrature(
        eigenvalues,
        torch.full_like(eigenvalues, 1 / dim),
        torch.zeros_like(eigenvalues, dtype=torch.bool),
        none,
        errors,
        none,
    )


FIELDS = tuple(field.name for field in fields(Quadrature))


def packed(parts: list[Quadrature]) -> dict[str, Tensor]:
    """Several quadratures as a few tensors, for a file."""
    return {
        "num_nodes": torch.tensor([len(part.nodes) for part in parts], dtype=torch.int64),
    } | vars(mixture(parts, [1.0] * len(parts)))


def unpacked(tensors: Mapping[str, Tensor]) -> list[Quadrature]:
    """The quadratures that were packed."""
    lengths = tensors["num_nodes"].tolist()
    columns = (tensors[name].split(lengths) for name in FIELDS)
    return [Quadrature(*part) for part in zip(*columns, strict=True)]


def mixture(parts: list[Quadrature], shares: list[float]) -> Quadrature:
    """Several quadratures, each with its share of the mass."""
    return Quadrature(
        torch.cat([part.nodes for part in parts]),
        torch.cat([share * part.weights for part, share in zip(parts, shares, strict=True)]),
        *(
            torch.cat([getattr(part, name) for part in parts])
            for name in ("sampled", "reach", "border", "marks")
        ),
    )


def lanczos_quadratures(
    product: CountedProduct,
    probes: Float[Tensor, "D b"],
    num_steps: int,
    dim: int,
    mark: bool = False,
    checkpoint: Checkpoint | None = None,
) -> list[Quadrature]:
    """Quadratures of several probes, each with its own Krylov space, products in one block.

    Parameters
    ----------
    product : CountedProduct
        The products with A.
    probes : Tensor of shape (D, b)
        The start vectors, of any length.
    num_steps : int
        Products per probe; fewer are made where a Krylov space is exhausted.
    dim : int
        Dimension of the space that the probes are random in.
    mark : bool
        Whether Ritz vectors get marks, by which `settled` tells multiple eigenvalues from simple
        ones.
    checkpoint : Checkpoint, optional
        A file to go on from and to keep up; it is left in place at the end.

    Returns
    -------
    list of Quadrature
        One per probe, each of mass 1, in the unit of A whatever that of the product.
    """
    spaces = [KrylovSubspace(product, min(num_steps, dim) + 1) for _ in probes.T]
    directions = probes / product.space.norms(probes).to(probes)
    if not (checkpoint and checkpoint.restore(*spaces)):
        for krylov, direction in zip(spaces, directions.split(1, dim=1), strict=True):
            krylov.add(direction)
    while active := [krylov for krylov in spaces if krylov.pending and krylov.size < num_steps]:
        pending = [krylov.basis.block(krylov.size, krylov.basis.size) for krylov in active]
        images, lengths = product.measured(
            torch.cat(pending, dim=1) if len(pending) > 1 else pending[0]
        )
        columns = images.split(1, dim=1), lengths.split(1)
        for krylov, image, length in zip(active, *columns, strict=True):
            krylov.absorb(image, length)
        if checkpoint:
            checkpoint.save_if_due(*spaces)
    references = None
    if mark:
        references = product.space.random(NUM_MARKS, torch.Generator().manual_seed(0))
    return [_gauss(krylov, references) for krylov in spaces]


def _gauss(krylov: KrylovSubspace, references: Float[Tensor, "D k"] | None) -> Quadrature:
    """Gauss quadrature for the start vector of one Krylov space."""
    nodes, vectors = torch.linalg.eigh(krylov.projected)
    border = (krylov.coupling @ vectors).sum(dim=0) * torch.where(vectors[0] < 0, -1.0, 1.0)
    negligible = 10 * torch.finfo(krylov.space.dtype).eps * krylov.scale
    border = torch.where(border.abs() <= negligible, 0.0, border)
    nodes, border = krylov.product.unit * nodes, krylov.product.unit * border
    gaps = _gaps(nodes)
    reach = torch.minimum(gaps / 2, border.abs()[:, None])
    marks = nodes.new_zeros(len(nodes), NUM_MARKS)
    if references is not None:
        marks = vectors.T @ krylov.basis.gram(references)[: krylov.size]
    return Quadrature(
        nodes,
        vectors[0] ** 2,
        torch.ones_like(nodes, dtype=torch.bool),
        torch.where(gaps.isinf(), 0.0, reach),
        border,
        marks,
    )


def converged(
    quadrature: Quadrature, rounding: float
) -> tuple[Bool[Tensor, " n"], Float64[Tensor, " n"]]:
    """Which Ritz values are eigenvalues to 1e-8 and stand clear, and how far off their vectors are.

    Parameters
    ----------
    quadrature : Quadrature
        Of one probe.
    rounding : float
        Relative precision of the vectors.

    Returns
    -------
    tuple of Tensor of shape (n,)
        The second is a residual over the distance to the next Ritz value, which bounds the sine
        of the angle to an eigenvector where the Ritz values tell the distance.
    """
    residuals = quadrature.border.abs()
    tol = max(100 * rounding, 1e-8) * quadrature.nodes.abs().max()
    angles = (residuals / _gaps(quadrature.nodes).min(dim=1).values).nan_to_num(nan=torch.inf)
    return (residuals <= tol) & (angles <= 1e-3), angles


def settled(parts: list[Quadrature], dim: int, rounding: float) -> list[Quadrature]:
    """Give converged Ritz values the weight 1/D of an eigenvalue, and the rest what is left.

    Given its components along some eigenvectors, a probe is uniform on a sphere in their
    complement. So the rest of its quadrature, scaled to its dimension, is that of a
    probe orthogonal to these eigenvectors, and their random weights are gone without
    one more product. That holds for simple eigenvalues. The eigenvector of one is the same for
    every probe, where each finds a vector of its own in a larger eigenspace: so an eigenvalue
    settles, in all probes, once two have found one vector, and no other has found another one. A
    single probe takes each for simple but for those that carry more weight than a simple one would
    in 99.9 % of cases, and all of an exhausted Krylov space, where some are multiple.
    """
    found = [converged(part, rounding) for part in parts]
    if len(parts) == 1:
        exhausted = not parts[0].border.any() and len(parts[0].nodes) < dim
        light = parts[0].weights * dim <= HEAVIEST_SIMPLE
        simple = [found[0][0] & light & (not exhausted)]
    else:
        simple = _of_simple_eigenvalues(parts, found, rounding)
    return [
        _with_eigenvalues(part, chosen, angles, dim)
        for part, chosen, (_, angles) in zip(parts, simple, found, strict=True)
    ]


def _of_simple_eigenvalues(
    parts: list[Quadrature],
    found: list[tuple[Bool[Tensor, " n"], Float64[Tensor, " n"]]],
    rounding: float,
) -> list[Bool[Tensor, " n"]]:
    """Which Ritz pairs of each probe are those of an eigenvalue that two probes find simple.

    One of the two has converged, and their vectors are exact enough to be told from others. Then
    it settles in each probe, also where little of it was drawn, so that it has not converged yet:
    a choice by what was drawn would make all that is left out too small.
    """
    candidates = [angles <= CLEAR for _, angles in found]
    values, marks, errors, angles, has_converged = (
        torch.cat([column[mask] for column, mask in zip(columns, candidates, strict=True)])
        for columns in (
            [part.nodes for part in parts],
            [part.marks for part in parts],
            [part.border.abs() for part in parts],
            [angle for _, angle in found],
            [mask for mask, _ in found],
        )
    )
    counts = [int(mask.sum()) for mask in candidates]
    owner = torch.arange(len(parts)).repeat_interleave(torch.tensor(counts))
    largest = max(part.nodes.abs().max().item() for part in parts)
    errors = errors + 100 * rounding * largest
    near = (values[:, None] - values).abs() <= errors[:, None] + errors
    near &= owner[:, None] != owner
    # Up to the sign; an error of the vector is in its marks a few times at the most.
    apart = torch.minimum(*((marks[:, None] - sign * marks).norm(dim=2) for sign in (1, -1)))
    tolerance = 10 * (angles[:, None] + angles) + 1000 * rounding
    same, told = apart <= tolerance, tolerance <= TELLING
    simple = has_converged & (near & same & told).any(1) & ~(near & ~same).any(1)
    settles = simple | (near & same & simple).any(1)
    chosen = [torch.zeros_like(mask) for mask in candidates]
    for mask, into, part in zip(candidates, chosen, settles.split(counts), strict=True):
        into[mask] = part
    return chosen


def _with_eigenvalues(
    quadrature: Quadrature,
    chosen: Bool[Tensor, " n"],
    angles: Float64[Tensor, " n"],
    dim: int,
) -> Quadrature:
    """Some nodes with the weight 1/D, the others with what is left."""
    sampled = ~chosen
    share = quadrature.weights[sampled].sum()
    left = 1 - chosen.sum().item() / dim
    if not sampled.any() and left > 0:
        return quadrature
    return replace(
        quadrature,
        weights=torch.where(sampled, quadrature.weights * left / share, 1 / dim),
        sampled=sampled,
        reach=quadrature.reach * sampled[:, None],
        border=torch.where(sampled, quadrature.border, quadrature.border.abs() * angles),
    )


def _gaps(nodes: Float64[Tensor, " n"]) -> Float64[Tensor, "n 2"]:
    """Distance of each node to the one on its left and on its right, infinite at the ends."""
    edge = nodes.new_full((1,), torch.inf)
    gaps = nodes.diff()
    return torch.stack([torch.cat([edge, gaps]), torch.cat([gaps, edge])], dim=1)
