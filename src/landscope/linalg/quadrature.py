"""Gauss quadrature of a spectrum: what Lanczos runs from random probes say about it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from landscope.linalg.checkpoint import Checkpoint
from landscope.linalg.krylov import KrylovSubspace
from landscope.linalg.product import CountedProduct

HEAVIEST_SIMPLE = 10.8  # D·w of a simple eigenvalue is χ² with one degree of freedom: 99.9 %


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
    """

    nodes: Float64[Tensor, " n"]
    weights: Float64[Tensor, " n"]
    sampled: Bool[Tensor, " n"]
    reach: Float64[Tensor, "n 2"]

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


def known(eigenvalues: Float64[Tensor, " n"], dim: int) -> Quadrature:
    """Eigenvalues themselves, each of weight 1/D."""
    return Quadrature(
        eigenvalues,
        torch.full_like(eigenvalues, 1 / dim),
        torch.zeros_like(eigenvalues, dtype=torch.bool),
        eigenvalues.new_zeros(len(eigenvalues), 2),
    )


def packed(parts: list[Quadrature]) -> dict[str, Tensor]:
    """Several quadratures as a few tensors, for a file."""
    return {
        "num_nodes": torch.tensor([len(part.nodes) for part in parts], dtype=torch.int64),
    } | vars(mixture(parts, [1.0] * len(parts)))


def unpacked(tensors: Mapping[str, Tensor]) -> list[Quadrature]:
    """The quadratures that were packed."""
    lengths = tensors["num_nodes"].tolist()
    columns = (tensors[field.name].split(lengths) for field in fields(Quadrature))
    return [Quadrature(*part) for part in zip(*columns, strict=True)]


def mixture(parts: list[Quadrature], shares: list[float]) -> Quadrature:
    """Several quadratures, each with its share of the mass."""
    return Quadrature(
        torch.cat([part.nodes for part in parts]),
        torch.cat([share * part.weights for part, share in zip(parts, shares, strict=True)]),
        torch.cat([part.sampled for part in parts]),
        torch.cat([part.reach for part in parts]),
    )


def lanczos_quadratures(
    product: CountedProduct,
    probes: Float[Tensor, "D b"],
    num_steps: int,
    dim: int,
    settle: bool = False,
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
    settle : bool
        Whether converged Ritz values count as eigenvalues, see `_settled`.
    checkpoint : Checkpoint, optional
        A file to go on from and to keep up; it is left in place at the end.

    Returns
    -------
    list of Quadrature
        One per probe, each of mass 1.
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
    return [_gauss(krylov, dim, settle) for krylov in spaces]


def _gauss(krylov: KrylovSubspace, dim: int, settle: bool) -> Quadrature:
    """Gauss quadrature for the start vector of one Krylov space."""
    nodes, vectors = torch.linalg.eigh(krylov.projected)
    residuals = (krylov.coupling @ vectors).norm(dim=0)
    gaps = _gaps(nodes)
    reach = torch.minimum(gaps / 2, residuals[:, None])
    quadrature = Quadrature(
        nodes,
        vectors[0] ** 2,
        torch.ones_like(nodes, dtype=torch.bool),
        torch.where(gaps.isinf(), 0.0, reach),
    )
    exhausted = krylov.pending == 0 and krylov.size < dim  # some eigenvalue is multiple
    if not settle or exhausted:
        return quadrature
    tol = max(100 * torch.finfo(krylov.space.dtype).eps, 1e-8) * nodes.abs().max()
    converged = (residuals <= tol) & (residuals <= 1e-3 * gaps.min(dim=1).values)
    return _settled(quadrature, converged, dim)


def _settled(quadrature: Quadrature, converged: Bool[Tensor, " n"], dim: int) -> Quadrature:
    """Give converged Ritz values the weight 1/D of an eigenvalue, and the rest what is left.

    Given its components along some eigenvectors, a probe is uniform on a sphere in their
    complement. So the rest of its quadrature, scaled to its dimension, is that of a
    probe orthogonal to these eigenvectors, and their random weights are gone without
    one more product. That holds for simple eigenvalues: one that carries more weight than a simple
    one would in 99.9 % of cases is left as it is.
    """
    eigenvalue = converged & (quadrature.weights * dim <= HEAVIEST_SIMPLE)
    sampled = ~eigenvalue
    share = quadrature.weights[sampled].sum()
    left = 1 - eigenvalue.sum().item() / dim
    if not sampled.any() and left > 0:
        return quadrature
    return Quadrature(
        quadrature.nodes,
        torch.where(sampled, quadrature.weights * left / share, 1 / dim),
        sampled,
        quadrature.reach * sampled[:, None],
    )


def _gaps(nodes: Float64[Tensor, " n"]) -> Float64[Tensor, "n 2"]:
    """Distance of each node to the one on its left and on its right, infinite at the ends."""
    edge = nodes.new_full((1,), torch.inf)
    gaps = nodes.diff()
    return torch.stack([torch.cat([edge, gaps]), torch.cat([gaps, edge])], dim=1)
