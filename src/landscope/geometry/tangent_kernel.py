"""The tangent kernel K = J Jᵀ: its spectrum, and how far it has drifted."""

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float64
from torch import Tensor

from landscope.geometry.curvature import ratio
from landscope.linalg import Estimate, eigsh, frobenius_norm, top_errors, trace
from landscope.linalg.eigsh import checked_search
from landscope.operators import TangentKernel
from landscope.operators.gram import gram_matrix
from landscope.operators.outer_products import fill_lower
from landscope.problem import Problem, checked_problem, problem_with_logits
from landscope.products import LayerwiseJacobian, ProductMethod
from landscope.products.batch_sum import checked_method

MAX_DENSE = 1500
"""Rows N·C up to which the kernel is built and diagonalised."""


@dataclass(frozen=True)
class TangentKernelSpectrum:
    """Spectrum of the tangent kernel on all logits, in logits² per weight².

    Attributes
    ----------
    eigenvalues : Tensor, shape (k,)
        The largest, descending; all of them where ``exact``.
    eigenvalues_error : Tensor, shape (k,)
        Bound on the error of each, from residuals and gaps; 0 where ``exact``.
    trace : Estimate
        Σ_μ Σ_k ‖J_k^μ‖².
    frobenius_norm : Estimate
        ‖K‖_F.
    drift : Estimate
        ‖K − K₀‖_F/‖K₀‖_F against the reference; NaN without one.
    exact : bool
        Whether the kernel was built whole: then nothing here has an error.
    """

    eigenvalues: Float64[Tensor, " k"]
    eigenvalues_error: Float64[Tensor, " k"]
    trace: Estimate
    frobenius_norm: Estimate
    drift: Estimate
    exact: bool


def tangent_kernel(
    problem: Problem,
    k: int | None = None,
    *,
    reference: Problem | None = None,
    method: ProductMethod | str = ProductMethod.AUTO,
    memory_limit: int | None = None,
    tol: float = 1e-4,
    seed: int = 0,
) -> TangentKernelSpectrum:
    """Measure the spectrum of J Jᵀ, and its drift from a reference point.

    Parameters
    ----------
    problem : Problem
        The model and data at one point of weight space.
    k : int, optional
        Number of eigenvalues; by default all where the kernel has at most 1,500 rows, else 2C.
    reference : Problem, optional
        The same problem at other weights, such as the initial ones.
    method : ProductMethod or str
        How products with a kernel of more rows are computed, see
        `landscope.products.ProductMethod`.
    memory_limit : int, optional
        Bytes that products may take beside the model and the data; by default 40 % of the memory
        that is free.
    tol : float
        Residuals of the eigenpairs are at most tol·λ_max, where Lanczos is used.
    seed : int
        Of start vectors and probes.

    Returns
    -------
    TangentKernelSpectrum
        Exact for small kernels, else from products with standard errors.

    Raises
    ------
    ValueError
        For a reference with another number of examples or logits, or k outside 1 to N·C.

    Notes
    -----
    In the tangent-kernel limit of wide networks K does not move during training, and the
    curvature R of the logits vanishes. Jacot et al. 2018, arXiv:1806.07572.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> problem = ls.Problem(torch.nn.Linear(2, 2, bias=False), (torch.eye(2), torch.arange(2)))
    >>> ls.tangent_kernel(problem).eigenvalues
    tensor([1., 1., 1., 1.], dtype=torch.float64)
    """
    size = _num_rows(problem_with_logits(problem, "the tangent kernel"))
    _, tol, seed = checked_search(size if k is None else k, size, tol, seed, "N·C")
    checked_method(method)
    if reference is not None and _num_rows(checked_problem(reference, "reference")) != size:
        raise ValueError(
            f"reference has {reference.num_examples} examples and {reference.num_classes} logits; "
            f"it must have the problem's {problem.num_examples} and {problem.num_classes}"
        )
    if size <= MAX_DENSE:
        return _dense(problem, k or size, reference)
    build = partial(TangentKernel, method=method, memory_limit=memory_limit)
    K = build(problem)
    drift = Estimate(float("nan"), float("nan"))
    if reference is not None:
        K_0 = build(reference)
        drift = ratio(frobenius_norm(K - K_0, seed=seed), frobenius_norm(K_0, seed=seed + 1))
    top = eigsh(K, k or 2 * problem.num_classes, which="LA", tol=tol, seed=seed)
    return TangentKernelSpectrum(
        eigenvalues=top.values,
        eigenvalues_error=top_errors(top).values,
        trace=trace(K, seed=seed),
        frobenius_norm=frobenius_norm(K, seed=seed),
        drift=drift,
        exact=False,
    )


def _num_rows(problem: Problem) -> int:
    return problem.num_examples * problem.num_classes


def _dense(problem: Problem, k: int, reference: Problem | None) -> TangentKernelSpectrum:
    K = kernel_matrix(problem)
    drift = float("nan")
    if reference is not None:
        K_0 = kernel_matrix(reference)
        drift = float((K - K_0).norm() / K_0.norm())
    values = torch.linalg.eigvalsh(K).flip(0)[:k].cpu()
    return TangentKernelSpectrum(
        eigenvalues=values,
        eigenvalues_error=torch.zeros_like(values),
        trace=Estimate(float(K.trace())),
        frobenius_norm=Estimate(float(K.norm())),
        drift=Estimate(drift),
        exact=True,
    )


def kernel_matrix(problem: Problem) -> Float64[Tensor, "NC NC"]:
    """K = J Jᵀ itself, rows and columns by example, then logit; each process computes all of it."""
    return fill_lower(gram_matrix(LayerwiseJacobian(problem.gathered())))
