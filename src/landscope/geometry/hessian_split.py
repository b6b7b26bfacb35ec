"""The weight of the H-term R against the G-term in the Hessian H = G + R."""

from dataclasses import dataclass

from jaxtyping import Float, Float64
from torch import Tensor

from landscope.geometry.curvature import default_num_eigenvalues, ratio
from landscope.geometry.point_operators import Methods, PointOperators
from landscope.linalg import Estimate, PairErrors, eigsh, frobenius_norm, top_errors
from landscope.linalg.eigsh import checked_search
from landscope.problem import Problem
from landscope.products import ProductMethod


@dataclass(frozen=True)
class HessianSplit:
    """How the Hessian divides into the loss's curvature G and the logits' curvature R.

    Attributes
    ----------
    ratio : Estimate
        ‖R‖_F/‖G‖_F, dimensionless.
    gauss_newton_norm, logit_curvature_norm : Estimate
        ‖G‖_F and ‖R‖_F, in loss per weight².
    hessian_eigenvalues, gauss_newton_eigenvalues : Tensor, shape (k,)
        The largest, descending.
    logit_curvature_eigenvalues : Tensor, shape (k,)
        Of R, by descending magnitude: R has both signs.
    gauss_newton_share : Tensor, shape (k,)
        vᵀGv/λ on each top eigenpair (λ, v) of H: what G explains of that eigenvalue; R (and a
        weight decay) explains the rest.
    gauss_newton_share_error : Tensor, shape (k,)
        Bound on its error: an eigenvector that is off by an angle φ changes vᵀGv by at most
        sin φ λ_max(G).
    """

    ratio: Estimate
    gauss_newton_norm: Estimate
    logit_curvature_norm: Estimate
    hessian_eigenvalues: Float64[Tensor, " k"]
    gauss_newton_eigenvalues: Float64[Tensor, " k"]
    logit_curvature_eigenvalues: Float64[Tensor, " k"]
    gauss_newton_share: Float64[Tensor, " k"]
    gauss_newton_share_error: Float64[Tensor, " k"]


def hessian_split(
    problem: Problem,
    k: int | None = None,
    *,
    method: Methods = ProductMethod.AUTO,
    memory_limit: int | None = None,
    tol: float = 1e-4,
    seed: int = 0,
) -> HessianSplit:
    """Measure the weight of the logits' curvature in the Hessian.

    Parameters
    ----------
    problem : Problem
        The model, loss and data at one point of weight space.
    k : int, optional
        Number of eigenvalues of each; by default 2C, at least C + 10.
    method : ProductMethod or str
        How products are computed, see `landscope.products.ProductMethod`; a mapping says it for
        each operator by name.
    memory_limit : int, optional
        Bytes that the products of each operator may take beside the model and the data; by default
        40 % of the memory that is free.
    tol : float
        Residuals of the eigenpairs are at most tol·|λ|max.
    seed : int
        Of start vectors and probes.

    Returns
    -------
    HessianSplit
        Norms with standard errors, eigenvalues, shares.

    Raises
    ------
    ValueError
        For k outside 1 to D.

    Notes
    -----
    H = G + R with R = (1/N) Σ_μ Σ_k (p_k^μ − y_k^μ) ∂²z_k^μ/∂W². The model neglects R ("weakness
    of logit curvature"): Fort & Ganguli 2019, arXiv:1910.05929.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> linear = torch.nn.Linear(3, 2)
    >>> problem = ls.Problem(linear, (torch.eye(3), torch.tensor([0, 1, 0])))
    >>> float(ls.hessian_split(problem, k=2).ratio)  # linear logits have no curvature
    0.0
    """
    point = PointOperators(problem, method, memory_limit)
    k = default_num_eigenvalues(problem) if k is None else k
    k, tol, seed = checked_search(k, problem.num_params, tol, seed)
    G = point["gauss_newton"]
    norm = frobenius_norm(G, seed=seed + 1)
    hessian = eigsh(point["hessian"], k, which="LA", tol=tol, seed=seed, isolate=True)
    gauss_newton = eigsh(G, k, which="LA", tol=tol, seed=seed)
    return split(
        point,
        norm,
        hessian.values,
        hessian.vectors,
        top_errors(hessian),
        gauss_newton.values,
        top_errors(gauss_newton),
        tol=tol,
        seed=seed,
    )


def split(
    point: PointOperators,
    gauss_newton_norm: Estimate,
    hessian_eigenvalues: Float64[Tensor, " k"],
    hessian_vectors: Float[Tensor, "D k"],
    hessian_errors: PairErrors,
    gauss_newton_eigenvalues: Float64[Tensor, " k"],
    gauss_newton_errors: PairErrors,
    *,
    tol: float,
    seed: int,
) -> HessianSplit:
    """The split, with what is known of H and G at hand."""
    G, R = point["gauss_newton"], point["logit_curvature"]
    norm = frobenius_norm(
        R, seed=seed
    )  # other probes than G's: the ratio takes them as independent
    k = len(hessian_eigenvalues)
    V = hessian_vectors
    explained = (V.double() * (G @ V).double()).sum(0).cpu()
    share = explained / hessian_eigenvalues
    largest = gauss_newton_eigenvalues[0] + gauss_newton_errors.values[0]
    spread = hessian_errors.angles.sin() * largest  # G is positive semi-definite
    off = spread + share.abs() * hessian_errors.values
    smallest = (hessian_eigenvalues.abs() - hessian_errors.values).clamp_min(0)
    return HessianSplit(
        ratio=ratio(norm, gauss_newton_norm),
        gauss_newton_norm=gauss_newton_norm,
        logit_curvature_norm=norm,
        hessian_eigenvalues=hessian_eigenvalues,
        gauss_newton_eigenvalues=gauss_newton_eigenvalues,
        logit_curvature_eigenvalues=eigsh(R, k, which="LM", tol=tol, seed=seed).values,
        gauss_newton_share=share,
        gauss_newton_share_error=off / smallest,
    )
