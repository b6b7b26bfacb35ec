"""How much of the gradient lies along the directions of high curvature."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from landscope.geometry.curvature import default_num_eigenvalues
from landscope.geometry.point_operators import Methods, PointOperators
from landscope.linalg import PairErrors, cosine_errors, eigsh, power_errors, top_errors
from landscope.linalg.davis_kahan import ROUNDING
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
    cosines_error : Tensor, shape (k,)
        Bound on how far each cosine is from that with the exact eigenvector, up to its sign, from
        residuals and gaps (see `landscope.linalg.davis_kahan`): where an eigenvalue is not known
        to stand apart from others, the magnitude may lie anywhere in [0, 1].
    power_error : Tensor, shape (k,)
        The same for the power. Inside of a cluster it lies between that above the cluster and that
        of all of it.
    eigenvalues_error : Tensor, shape (k,)
        Bound on the error of each eigenvalue.
    """

    cosines: Float64[Tensor, " k"]
    power: Float64[Tensor, " k"]
    gradient_norm: float
    eigenvalues: Float64[Tensor, " k"]
    cosines_error: Float64[Tensor, " k"]
    power_error: Float64[Tensor, " k"]
    eigenvalues_error: Float64[Tensor, " k"]

    def top_power(self, count: int) -> float:
        """The share of ‖g‖² in so many top eigenvectors, or in all k of them if there are fewer."""
        return float(self.power[min(count, len(self.power)) - 1])

    def top_power_error(self, count: int) -> float:
        """Bound on the error of that share."""
        return float(self.power_error[min(count, len(self.power)) - 1])


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
        Cosines and cumulative power, each with a bound on its error.

    Raises
    ------
    ValueError
        For an unknown operator, or k outside 1 to D.

    Notes
    -----
    A random direction has k/D of its power in any k directions; in the model most of the
    gradient's lies in the top C. Fort & Ganguli 2019, arXiv:1910.05929, Fig. 6.

    Errors count what rounding does in the problem's dtype: 50 units in the last place of the
    largest eigenvalue in each product, and as many of ‖g‖ in the gradient.

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
    top = eigsh(A, k, which="LA", tol=tol, seed=seed, isolate=True)
    return overlap(problem.gradient(), top.values, top.vectors, top_errors(top))


def overlap(
    gradient: Float[Tensor, " D"],
    eigenvalues: Float64[Tensor, " k"],
    vectors: Float[Tensor, "D k"],
    errors: PairErrors,
) -> GradientOverlap:
    """Cosines of a gradient with eigenvectors at hand, whose errors are known."""
    g = gradient.double()
    norm = g.norm()
    cosines = (vectors.double().T @ g / norm).cpu()
    power = cosines.square().cumsum(0)
    rounding = ROUNDING * torch.finfo(gradient.dtype).eps
    return GradientOverlap(
        cosines=cosines,
        power=power,
        gradient_norm=float(norm),
        eigenvalues=eigenvalues,
        cosines_error=cosine_errors(cosines, errors.angles) + rounding,
        power_error=power_errors(power, errors.subspace_angles) + 2 * rounding,
        eigenvalues_error=errors.values,
    )
