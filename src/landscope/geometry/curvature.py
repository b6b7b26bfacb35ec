"""The curvature at one point: top eigenvalues, trace, norm, outliers, negative end."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Float64
from torch import Tensor

from landscope.geometry.chosen_logits import MANY_LOGITS, SAMPLED_LOGITS
from landscope.geometry.outliers import find_outliers
from landscope.geometry.point_operators import Methods, PointOperators
from landscope.linalg import Estimate, PairErrors, eigsh, frobenius_norm, top_errors, trace
from landscope.problem import Problem
from landscope.products import ProductMethod


@dataclass(frozen=True)
class Curvature:
    """Curvature of the Hessian or the Gauss–Newton matrix, in units of loss per weight².

    Attributes
    ----------
    eigenvalues : Tensor, shape (k,)
        The largest, descending.
    vectors : Tensor, shape (D, k)
        Their eigenvectors.
    residuals : Tensor, shape (k,)
        ‖Av − λv‖: an eigenvalue lies within this distance of each λ.
    converged : bool
        Whether every residual met the tolerance, and no eigenvalue was missed.
    errors : PairErrors
        Bounds on the errors of eigenvalues and eigenvectors, from residuals and gaps.
    trace : Estimate
        Sum of all eigenvalues.
    frobenius_norm : Estimate
        Root of the sum of their squares.
    trace_over_norm : Estimate
        Tr/‖·‖_F, dimensionless; √D for the identity, small or negative far from convexity.
    num_outliers : int
        Eigenvalues that stand clear of the bulk (see `landscope.geometry.outliers`).
    bulk_edge : float
        Fitted right edge of the bulk; NaN with too few eigenvalues to fit it.
    min_eigenvalue : float
        The most negative eigenvalue; NaN for a positive semi-definite operator.
    min_eigenvalue_error : float
        An eigenvalue lies within this distance of it.
    num_products : int
        Operator–vector products that all of this took.
    """

    eigenvalues: Float64[Tensor, " k"]
    vectors: Float[Tensor, "D k"]
    residuals: Float64[Tensor, " k"]
    converged: bool
    errors: PairErrors
    trace: Estimate
    frobenius_norm: Estimate
    trace_over_norm: Estimate
    num_outliers: int
    bulk_edge: float
    min_eigenvalue: float
    min_eigenvalue_error: float
    num_products: int

    @property
    def eigenvalues_error(self) -> Float64[Tensor, " k"]:
        """Bound on the error of each eigenvalue, see `landscope.linalg.davis_kahan`."""
        return self.errors.values

    @property
    def effective_rank(self) -> Estimate:
        """(Tr A)²/‖A‖_F²: so many equal eigenvalues have this trace and this norm.

        It lies between 1 and the rank of a positive semi-definite operator, and says nothing of
        others. The participation ratio of Bell & Dean 1970, of a spectrum.
        """
        root = self.trace_over_norm
        return Estimate(root**2, 2 * abs(root) * root.stderr, root.dof)


def curvature(
    problem: Problem,
    k: int | None = None,
    operator: Any = "hessian",
    *,
    method: Methods = ProductMethod.AUTO,
    memory_limit: int | None = None,
    tol: float = 1e-4,
    seed: int = 0,
    v0: Float[Tensor, "D j"] | None = None,
) -> Curvature:
    """Measure the curvature at one point of weight space.

    Parameters
    ----------
    problem : Problem
        The model, loss and data at one point of weight space.
    k : int, optional
        Number of top eigenvalues; by default 2C, at least C + 10, so that the bulk below the
        outliers is seen, and 20 where C exceeds 100.
    operator : {"hessian", "gauss_newton", "logit_curvature"} or operator
        What is measured; an operator of this problem saves building it again.
    method : ProductMethod or str
        How products of an operator that is named are computed, see
        `landscope.products.ProductMethod`.
    memory_limit : int, optional
        Bytes that its products may take beside the model and the data; by default
        40 % of the memory that is free.
    tol : float
        Residuals are at most tol·|λ|max.
    seed : int
        Of start vectors and probes.
    v0 : Tensor, shape (D, j), optional
        Where the search for the top eigenvalues starts, such as the eigenvectors at nearby weights.

    Returns
    -------
    Curvature
        Eigenvalues with residuals, estimates with standard errors.

    Raises
    ------
    ValueError
        For an unknown operator, or k outside 1 to D.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> problem = ls.Problem(torch.nn.Linear(3, 2), (torch.eye(3), torch.tensor([0, 1, 0])))
    >>> measured = ls.curvature(problem, k=3)
    >>> bool(measured.eigenvalues[0] > 0), measured.converged
    (True, True)
    """
    A = PointOperators(problem, method, memory_limit).resolve(operator)
    k = default_num_eigenvalues(problem) if k is None else k
    top = eigsh(A, k, which="LA", tol=tol, seed=seed, v0=v0, isolate=True)
    bottom = None if getattr(A, "psd", False) else eigsh(A, 1, which="SA", tol=tol, seed=seed)
    total = trace(A, seed=seed)
    norm = frobenius_norm(A, seed=seed + 1)  # other probes: the ratio takes them as independent
    outliers = find_outliers(top.values.numpy())
    return Curvature(
        eigenvalues=top.values,
        vectors=top.vectors,
        residuals=top.residuals,
        converged=top.converged and (bottom is None or bottom.converged),
        errors=top_errors(top),
        trace=total,
        frobenius_norm=norm,
        trace_over_norm=ratio(total, norm),
        num_outliers=outliers.count,
        bulk_edge=outliers.bulk_edge,
        min_eigenvalue=float("nan") if bottom is None else float(bottom.values[0]),
        min_eigenvalue_error=float("nan") if bottom is None else float(bottom.residuals[0]),
        num_products=sum(
            part.num_products for part in (top, bottom, total, norm) if part is not None
        ),
    )


def default_num_eigenvalues(problem: Problem) -> int:
    """2C, at least C + 10, at most D: enough to see the bulk below C outliers; 20 for C > 100."""
    C = problem.num_classes
    return min(max(2 * C, C + 10) if C <= MANY_LOGITS else 2 * SAMPLED_LOGITS, problem.num_params)


def ratio(a: Estimate, b: Estimate) -> Estimate:
    """a/b, with the errors of independent a and b propagated to first order."""
    if float(b) == 0:
        return Estimate(float("nan"), float("nan"))
    value = float(a) / float(b)
    stderr = ((a.stderr / float(b)) ** 2 + (value * b.stderr / float(b)) ** 2) ** 0.5
    return Estimate(value, stderr, min(a.dof, b.dof))
