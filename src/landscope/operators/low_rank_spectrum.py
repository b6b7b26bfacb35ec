"""The largest eigenvalues of the Gauss–Newton matrix, and a bound on all that is left out."""

from dataclasses import dataclass

from jaxtyping import Float, Float64
from torch import Tensor

from landscope.linalg import eigsh
from landscope.operators.gauss_newton import GaussNewton
from landscope.operators.gram import gauss_newton_trace
from landscope.problem import Problem


@dataclass(frozen=True)
class LowRankSpectrum:
    """The top of G's spectrum, with what is known of the rest.

    Attributes
    ----------
    values : Tensor, shape (k,)
        Largest eigenvalues, descending, in loss per weight².
    vectors : Tensor, shape (D, k)
        Their eigenvectors.
    residuals : Tensor, shape (k,)
        ‖Gv − λv‖: within this distance of each value lies an eigenvalue of G.
    trace : float
        Exact trace of G.
    remainder : float
        Trace minus the values. G is positive semi-definite, so that this bounds every eigenvalue
        on the complement of the vectors, and their sum is exactly this.
    converged : bool
        Whether every residual is at most tol·λ_max.
    """

    values: Float64[Tensor, " k"]
    vectors: Float[Tensor, "D k"]
    residuals: Float64[Tensor, " k"]
    trace: float
    remainder: float
    converged: bool


def low_rank_spectrum(
    problem: Problem, k: int, *, tol: float = 1e-4, seed: int = 0
) -> LowRankSpectrum:
    """Find the k largest eigenvalues of the Gauss–Newton matrix, and the exact sum of all others.

    For problems too large for `gram_spectrum`: nothing of size N·C or D squared is built.

    Parameters
    ----------
    problem : Problem
        The model, loss and data at one point of weight space.
    k : int
        Number of eigenvalues, from 1 to D.
    tol : float
        Residuals are at most tol·λ_max.
    seed : int
        Of the start vector.

    Returns
    -------
    LowRankSpectrum
        Values, residuals, trace and remainder.

    Notes
    -----
    Rayleigh quotients on orthonormal vectors V leave G on the complement of V, whose trace is
    tr G − tr VᵀGV, exactly; tr G = (1/N) Σ_μ tr (S^μ)ᵀ J^μ (J^μ)ᵀ S^μ comes from one layer-wise
    pass of norms.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> _ = torch.manual_seed(0)
    >>> problem = ls.Problem(torch.nn.Linear(2, 2), (torch.eye(2), torch.arange(2)))
    >>> found = ls.low_rank_spectrum(problem, 2)
    >>> abs(found.remainder) < 1e-6 * found.trace
    True
    """
    found = eigsh(GaussNewton(problem), k=k, which="LA", tol=tol, seed=seed)
    trace = gauss_newton_trace(problem)
    return LowRankSpectrum(
        values=found.values,
        vectors=found.vectors,
        residuals=found.residuals,
        trace=trace,
        remainder=trace - float(found.values.sum()),
        converged=found.converged,
    )
