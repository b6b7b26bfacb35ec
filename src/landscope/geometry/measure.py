"""All measurements at one point of weight space, as one labelled data set."""

import warnings
from collections.abc import Callable, Collection, MutableMapping
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Float64

from landscope import arguments as check
from landscope.distributed import LostRankError
from landscope.geometry.accuracy import accuracy
from landscope.geometry.chosen_logits import Logits, checked_logits, choose_logits
from landscope.geometry.class_decomposition import class_decomposition
from landscope.geometry.class_labels import class_labels, why_no_classes
from landscope.geometry.class_probabilities import class_probabilities
from landscope.geometry.curvature import Curvature, curvature, default_num_eigenvalues
from landscope.geometry.definitions import PAPER
from landscope.geometry.gradient_overlap import overlap
from landscope.geometry.hessian_split import split
from landscope.geometry.label_probabilities import label_probabilities
from landscope.geometry.logit_clustering import logit_clustering
from landscope.geometry.once import once
from landscope.geometry.point_operators import OPERATORS, Methods, PointOperators
from landscope.geometry.tangent_kernel import tangent_kernel
from landscope.geometry.variables import variables
from landscope.linalg import SpectralDensity, spectral_density
from landscope.linalg.eigsh import checked_search
from landscope.operators import LinearOperator
from landscope.problem import NonFiniteError, Problem, checked_problem
from landscope.problem.losses import name_of, predicts
from landscope.products import ProductMethod
from landscope.products.batch_sum import DEFAULT_MEMORY_SHARE, free_bytes
from landscope.system.interruption import uncovering_interrupts

Values = dict[str, Any]

LeaveOut = Callable[[str, object], None]
"""Keeps that something is not measured, and why."""

PARTS = (
    "probabilities",
    "clustering",
    "hessian",
    "gauss_newton",
    "hessian_split",
    "hessian_density",
    "gauss_newton_density",
    "tangent_kernel",
)
"""What is measured where nothing else is asked for."""

ON_REQUEST = ("class_decomposition",)
"""What is measured where it is asked for: the kernel of all N·C logit gradients is built for it."""

MEMORY_SHARES = 4
"""H, G, R and the tangent kernel are held at the same time: each has this part of the memory."""


def measure(
    problem: Problem,
    *,
    parts: Collection[str] = PARTS,
    num_eigenvalues: int | None = None,
    logits: Logits = None,
    num_probes: int = 8,
    num_steps: int = 60,
    reference: Problem | None = None,
    eigenvectors: MutableMapping[str, torch.Tensor] | None = None,
    method: Methods = ProductMethod.AUTO,
    memory_limit: int | None = None,
    tol: float = 1e-4,
    seed: int = 0,
) -> xr.Dataset:
    """Measure the local geometry at one point of weight space, all of it.

    Parameters
    ----------
    problem : Problem
        The model, loss and data at one point of weight space.
    parts : collection of str
        What to measure: any of "probabilities", "clustering", "hessian", "gauss_newton",
        "hessian_split", "hessian_density", "gauss_newton_density" and "tangent_kernel", which are
        all measured by default, and "class_decomposition", which takes a matrix of order N·C.
    num_eigenvalues : int, optional
        Top eigenvalues of each operator; by default 2C, at least C + 10, and 20 where C exceeds
        100.
    logits : int, sequence of int, or None
        Whose clustering and probabilities are measured, or how many to draw; all by default, or 10
        where there are more than 100.
    num_probes, num_steps : int
        Random vectors, and Lanczos steps on each, of the spectral densities.
    reference : Problem, optional
        The same problem at other weights, against which the tangent kernel's drift is taken.
    eigenvectors : mutable mapping from names to Tensor of shape (D, k), optional
        Eigenvectors of "hessian" and "gauss_newton" at nearby weights, where the searches start;
        those that are found take their places.
    method : ProductMethod or str, or mapping from names to them
        How products are computed, see `landscope.products.ProductMethod`; a mapping says it for
        "hessian", "gauss_newton" and "logit_curvature" each.
    memory_limit : int, optional
        Bytes that all operators together may take beside the model and the data; by default 40 %
        of the memory that is free.
    tol : float
        Residuals of eigenpairs are at most tol·|λ|max.
    seed : int
        Of all random vectors.

    Returns
    -------
    xarray.Dataset
        Every variable carries ``long_name``, ``units``, ``definition`` and ``source``; an estimate
        X has its standard error beside it as ``X_stderr``, what comes from eigenpairs a bound on
        its error as ``X_error``. A part that cannot be measured (no
        class labels, a derivative that is not finite) is left out with a warning, and named in the
        attribute ``failures``: what was measured is never lost. How products were computed is in
        ``hessian_products``, ``gauss_newton_products`` and ``logit_curvature_products``, the memory
        that they had in ``memory_limit``; `settings` reads them back.

    Raises
    ------
    ValueError
        When the loss itself is not finite, ``parts`` names something unknown, ``num_eigenvalues``
        lies outside 1 to D, or ``method`` or ``memory_limit`` cannot be used.

    See Also
    --------
    curvature, gradient_overlap, hessian_split, logit_clustering, class_probabilities,
    tangent_kernel, class_decomposition : the parts, with their formulas.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> _ = torch.manual_seed(0)
    >>> problem = ls.Problem(torch.nn.Linear(4, 3), (torch.randn(30, 4), torch.arange(30) % 3))
    >>> snapshot = ls.measure(problem)
    >>> snapshot.hessian_eigenvalues.dims, snapshot.hessian_eigenvalues.units
    (('rank',), 'loss/weight²')
    """
    _check_parts(parts)
    k = default_num_eigenvalues(checked_problem(problem))
    k = k if num_eigenvalues is None else num_eigenvalues
    k = check.whole("num_eigenvalues", k, 1, problem.num_params, "D")
    _, tol, seed = checked_search(k, k, tol, seed)
    num_probes = check.whole("num_probes", num_probes, 1, check.MOST_PROBES)
    num_steps = check.whole("num_steps", num_steps)
    if logits is not None:
        checked_logits(logits, problem.num_classes)
    if reference is not None:
        checked_problem(reference, "reference")
    loss = float(problem.loss())
    if not np.isfinite(loss):
        raise NonFiniteError(f"the loss is {loss}; there is no geometry to measure at this point")
    if memory_limit is None:
        memory_limit = int(free_bytes(problem.device) * DEFAULT_MEMORY_SHARE)
    memory_limit = check.whole("memory_limit", memory_limit, MEMORY_SHARES)
    share = memory_limit // MEMORY_SHARES
    point = PointOperators(problem, method, share)
    kernel_method = method if isinstance(method, str) else ProductMethod.AUTO

    @once
    def curved(name: str) -> Curvature:
        starts = {} if eigenvectors is None else eigenvectors
        found = curvature(problem, k, point[name], tol=tol, seed=seed, v0=starts.get(name))
        starts[name] = found.vectors
        return found

    def density(name: str) -> SpectralDensity:
        A = point[name]
        return spectral_density(A, num_probes, num_steps, seed=seed, deflate="converged")

    failures: list[str] = []

    def leave_out(what: str, reason: object) -> None:
        failures.append(f"{what}: {reason}")

    gradient = once(problem.gradient)
    chosen = once(lambda: choose_logits(problem, logits, seed))

    def spectrum(name: str) -> Values:
        return _curvature(name, point[name], curved(name), gradient(), problem.num_classes)

    measurements: dict[str, Callable[[], Values]] = {
        "probabilities": lambda: _probabilities(problem, chosen, leave_out),
        "clustering": lambda: _clustering(problem, chosen(), memory_limit, leave_out),
        "hessian": lambda: spectrum("hessian"),
        "gauss_newton": lambda: spectrum("gauss_newton"),
        "hessian_split": lambda: _split(
            point, curved("hessian"), curved("gauss_newton"), tol, seed
        ),
        "hessian_density": lambda: _density("hessian", density("hessian")),
        "gauss_newton_density": lambda: _density("gauss_newton", density("gauss_newton")),
        "tangent_kernel": lambda: _tangent_kernel(
            problem, reference, kernel_method, share, tol, seed
        ),
        "class_decomposition": lambda: _class_decomposition(problem),
    }
    values: Values = {
        "loss": loss,
        "weight_norm": float(problem.parameters_vector().double().norm()),
        "num_examples": problem.num_examples,
        "num_params": problem.num_params,
        "num_classes": problem.num_classes,
    }
    for name in (name for name in measurements if name in parts):
        try:
            with uncovering_interrupts():
                values |= measurements[name]()
        except LostRankError:
            raise  # nobody can go on without it
        except Exception as reason:  # whatever it is, what was measured is kept
            leave_out(name, reason)
    for failure in failures:
        warnings.warn(f"measure leaves out {failure}", stacklevel=2)
    described = variables(values)
    if predicts(problem.loss_terms) is None:
        described["loss"].attrs["units"] = "loss"  # no logarithm of a probability
    if predicts(problem.loss_terms) != "class":
        described["num_classes"].attrs["long_name"] = "outputs C"
    return xr.Dataset(
        described,
        attrs={
            "title": "Local geometry of a neural loss landscape",
            "source": PAPER,
            "landscope_version": version("landscope"),
            "torch_version": str(torch.__version__),  # a subclass of str, which no file takes
            "seed": seed,
            "memory_limit": memory_limit,
            "failures": "; ".join(failures),
            **{f"{name}_products": way for name, way in point.methods().items()},
        },
    )


def settings(snapshot: xr.Dataset) -> dict[str, Any]:
    """The keyword arguments for `measure` to compute in the way that it picked for a snapshot.

    Parameters
    ----------
    snapshot : xarray.Dataset
        What `measure` returned, or any other Dataset: then nothing is known.

    Returns
    -------
    dict
        ``method`` and ``memory_limit``.

    Examples
    --------
    >>> import xarray as xr
    >>> settings(xr.Dataset(attrs={"hessian_products": "linearized", "memory_limit": 2**30}))
    {'method': {'hessian': 'linearized'}, 'memory_limit': 1073741824}
    """
    attributes = snapshot.attrs
    methods = {
        name: attributes[f"{name}_products"]
        for name in OPERATORS
        if f"{name}_products" in attributes
    }
    known: dict[str, Any] = {"method": methods} if methods else {}
    if "memory_limit" in attributes:
        known["memory_limit"] = int(attributes["memory_limit"])
    return known


def _check_parts(parts: Collection[str]) -> None:
    known = (*PARTS, *ON_REQUEST)
    asked = () if isinstance(parts, str) or not isinstance(parts, Collection) else list(parts)
    if not asked or not all(part in known for part in asked):
        raise ValueError(
            f"parts is {check.shown(parts)}; accepted is a collection of {', '.join(known)}"
        )


def _probabilities(problem: Problem, chosen: Callable[[], Logits], leave_out: LeaveOut) -> Values:
    """Of classes or labels; where only the classes are known, how many are found."""
    kind = predicts(problem.loss_terms)
    if kind == "labels":
        labels = label_probabilities(problem)
        return {
            "label_entropy": labels.entropy,
            "label_accuracy": labels.accuracy,
            "exact_match": labels.exact_match,
        }
    targets = class_labels(problem)
    if kind != "class":
        leave_out(
            "probabilities",
            f"problem has the loss {name_of(problem.loss_terms)}, of whose outputs no "
            "probabilities are known; the accuracy is measured",
        )
        return {"accuracy": float(accuracy(problem)), "targets": targets}
    measured = class_probabilities(problem, logits=chosen())
    return {
        "accuracy": float(measured.accuracy),
        "sigma_z": measured.sigma_z,
        "entropy": measured.entropy,
        "participation": measured.participation,
        "frozen_fraction": measured.frozen_fraction,
        "logits": measured.logits,
        "probabilities": measured.probabilities,
        "targets": targets,
    }


def _clustering(problem: Problem, logits: Logits, memory_limit: int, leave_out: LeaveOut) -> Values:
    measured = logit_clustering(problem, logits=logits, memory_limit=memory_limit)
    by_class = {"q_slsc": measured.q_slsc, "clustering_table": measured.table}
    reason = why_no_classes(problem)
    if reason is not None:
        leave_out("clustering by class", reason)
        by_class = {}
    return by_class | {
        "q_sl": measured.q_sl,
        "q_dl": measured.q_dl,
        "q_dl_abs": measured.q_dl_abs,
        "sigma_c": measured.sigma_c,
        "sigma_e": measured.sigma_e,
        "logits": measured.logits,
        "logit_gradient_norm": float(measured.norms.mean()),
        "logit_gradient_norm_std": float(measured.norms.std()),
        "centroids_gram": measured.centroids_gram,
    }


def _curvature(
    name: str,
    A: LinearOperator,
    measured: Curvature,
    gradient: Float[torch.Tensor, " D"],
    num_classes: int,
) -> Values:
    overlapping = overlap(gradient, measured.eigenvalues, measured.vectors, measured.errors)
    values = {
        f"{name}_eigenvalues": measured.eigenvalues,
        f"{name}_eigenvalues_error": measured.eigenvalues_error,
        f"{name}_residuals": measured.residuals,
        f"{name}_trace": measured.trace,
        f"{name}_frobenius_norm": measured.frobenius_norm,
        f"{name}_trace_over_norm": measured.trace_over_norm,
        f"{name}_num_outliers": measured.num_outliers,
        f"{name}_bulk_edge": measured.bulk_edge,
        f"{name}_gradient_cosines": overlapping.cosines,
        f"{name}_gradient_cosines_error": overlapping.cosines_error,
        f"{name}_gradient_power": overlapping.power,
        f"{name}_gradient_power_error": overlapping.power_error,
        f"{name}_top_gradient_power": overlapping.top_power(num_classes),
        f"{name}_top_gradient_power_error": overlapping.top_power_error(num_classes),
        "gradient_norm": overlapping.gradient_norm,
    }
    if A.psd:
        values[f"{name}_effective_rank"] = measured.effective_rank
    else:
        values[f"{name}_min_eigenvalue"] = measured.min_eigenvalue
        values[f"{name}_min_eigenvalue_error"] = measured.min_eigenvalue_error
    return values


def _split(
    point: PointOperators,
    hessian: Curvature,
    gauss_newton: Curvature,
    tol: float,
    seed: int,
) -> Values:
    measured = split(
        point,
        gauss_newton.frobenius_norm,
        hessian.eigenvalues,
        hessian.vectors,
        hessian.errors,
        gauss_newton.eigenvalues,
        gauss_newton.errors,
        tol=tol,
        seed=seed,
    )
    return {
        "logit_curvature_ratio": measured.ratio,
        "logit_curvature_eigenvalues": measured.logit_curvature_eigenvalues,
        "gauss_newton_share": measured.gauss_newton_share,
        "gauss_newton_share_error": measured.gauss_newton_share_error,
    }


def _density(name: str, density: SpectralDensity) -> Values:
    return {
        f"{name}_density_grid": density.grid,
        f"{name}_density": density.density,
        f"{name}_density_stderr": density.stderr,
        f"{name}_density_width": density.kernel.width,
        f"{name}_single_eigenvalues": single_eigenvalues(density),
    }


def single_eigenvalues(density: SpectralDensity) -> Float64[torch.Tensor, " n"]:
    """Eigenvalues that a density counts exactly and that lie beyond all it samples, descending.

    Probes that found the same one agree up to rounding, far below the distance of two.
    """
    nodes, sampled = density.nodes, density.quadrature.sampled
    if not sampled.any():
        return nodes.new_zeros(0)
    low, high = nodes[sampled].min(), nodes[sampled].max()
    values = nodes[(nodes < low) | (nodes > high)].sort(descending=True).values
    apart = max(density.kernel.width / 100, 1e-5 * float(nodes.abs().max()))
    return values[torch.diff(values, prepend=values.new_full((1,), torch.inf)) < -apart]


def _tangent_kernel(
    problem: Problem,
    reference: Problem | None,
    method: ProductMethod | str,
    memory_limit: int,
    tol: float,
    seed: int,
) -> Values:
    size = problem.num_examples * problem.num_classes
    k = min(default_num_eigenvalues(problem), size)
    measured = tangent_kernel(
        problem,
        k,
        reference=reference,
        method=method,
        memory_limit=memory_limit,
        tol=tol,
        seed=seed,
    )
    return {
        "tangent_kernel_trace": measured.trace,
        "tangent_kernel_drift": measured.drift,
        "tangent_kernel_eigenvalues": measured.eigenvalues,
        "tangent_kernel_eigenvalues_error": measured.eigenvalues_error,
    }


def _class_decomposition(problem: Problem) -> Values:
    measured = class_decomposition(problem)
    return {
        "part_eigenvalues": measured.part_eigenvalues,
        "part_share": measured.shares,
        "part_trace": measured.traces,
    }
