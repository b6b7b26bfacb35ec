"""How much of the gradient lies along the directions of high curvature."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Float64
from torch import Tensor

from landscope.geometry.curvature import default_num_eigenvalues
from landscope.geometry.point_operators import Methods, PointOperators
from landscope.linalg import eigsh
from landscope.problem import Problem
from landscope.products import ProductMethod


@dataclass(frozen=True)
class GradientOverlap:
    """Cosines between the gradient and the top eigenvectors.

    Attributes
    ----------
    cosines : Tensor, shape (k,)
        v_j·g/‖g‖ for the eigenvectors of the largest eigenvalues, descending; NaN where g = 0.
    power : Tensor, shape (k,)
        Cumulative share Σ_{i≤j} (v_i·g)²/‖g‖².
    gradient_norm : float
        ‖g‖, in loss per weight.
    eigenvalues : Tensor, shape (k,)
        To the eigenvectors.
    """

    cosines: Float64[Tensor, " k"]
    power: Float64[Tensor, " k"]
    gradient_norm: float
    eigenvalues: Float64[Tensor, " k"]

    def top_power(self, count: int) -> float:
        """The share of ‖g‖² in so many top eigenvectors, or in all k of them if there are fewer."""
        return float(self.power[min(count, len(self.power)) - 1])


def gradient_overlap(
    problem: Problem,
    k: int | None = None,
    operator: Any = "hessian",
    *,
    method: Methods = ProductMethod.AUTO,
    memory_limit: int | None = None,
    tol: float = 1e-4,
    seed: int = 0,
) -> GradientOverlap:
    """Measure the gradient's share in the space of the top eigenvectors.

    Parameters
    ----------
    problem : Problem
        The model, loss and data at one point of weight space.
    k : int, optional
        Number of eigenvectors; by default 2C, at least C + 10.
    operator : {"hessian", "gauss_newton", "logit_curvature"} or operator
        Whose eigenvectors.
    method : ProductMethod or str
        How products of an operator that is named are computed, see
        `landscope.products.ProductMethod`.
    memory_limit : int, optional
        Bytes that its products may take beside the model and the data; by default
        40 % of the memory that is free.
    tol : float
        Residuals of the eigenpairs are at most tol·|λ|max.
    seed : int
        Of the start vector.

    Returns
    -------
    GradientOverlap
        Cosines and cumulative power.

    Raises
    ------
    ValueError
        For an unknown operator, or k outside 1 to D.

    Notes
    -----
    A random direction has k/D of its power in any k directions; in the model most of the
    gradient's lies in the top C. Fort & Ganguli 2019, arXiv:1910.05929, Fig. 6.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> problem = ls.Problem(torch.nn.Linear(3, 2), (torch.eye(3), torch.tensor([0, 1, 0])))
    >>> overlap = ls.gradient_overlap(problem, k=8)
    >>> round(float(overlap.power[-1]), 4)  # all directions
    1.0
    """
    A = PointOperators(problem, method, memory_limit).resolve(operator)
    k = default_num_eigenvalues(problem) if k is None else k
    top = eigsh(A, k, which="LA", tol=tol, seed=seed)
    return overlap(problem.gradient(), top.values, top.vectors)


def overlap(
    gradient: Float[Tensor, " D"],
    eigenvalues: Float64[Tensor, " k"],
    vectors: Float[Tensor, "D k"],
) -> GradientOverlap:
    """Cosines of a gradient with eigenvectors at hand."""
    g = gradient.double()
    norm = g.norm()
    cosines = (vectors.double().T @ g / norm).cpu()
    return GradientOverlap(cosines, cosines.square().cumsum(0), float(norm), eigenvalues)
