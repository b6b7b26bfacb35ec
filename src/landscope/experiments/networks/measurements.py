"""What a cell measures: parts of `landscope.measure`, and what no part of it gives."""

from dataclasses import dataclass, field
from functools import partial

import xarray as xr

from landscope import geometry
from landscope.geometry.point_operators import PointOperators
from landscope.hyperplanes import BasisKind, expected_trace
from landscope.linalg import eigsh, frobenius_norm, trace
from landscope.operators import GaussNewton, Hessian
from landscope.problem import Problem
from landscope.training import MeasureConfig
from landscope.training.goldilocks import draw_bases, shell_curvature

MEMORY = 2 * 2**30
"""Bytes for products and sums. Fixed: what is free would change how a sum is cut, and rounding."""

TOLERANCE = 1e-3
"""Residuals of eigenpairs, relative to the largest eigenvalue."""

_measure = partial(geometry.measure, memory_limit=MEMORY, tol=TOLERANCE)


def clustering(problem: Problem, seed: int = 0) -> xr.Dataset:
    """Clustering of logit gradients, and probabilities."""
    # Tables C·C·C·C and probabilities of each example are not needed, a thousand times over.
    measured = _measure(problem, parts=("probabilities", "clustering"), seed=seed)
    return measured.drop_vars(["clustering_table", "centroids_gram", "probabilities", "targets"])


def probabilities(problem: Problem, seed: int = 0) -> xr.Dataset:
    """Probabilities of each example."""
    return _measure(problem, parts=("probabilities",), seed=seed)


def curvature(problem: Problem, seed: int = 0) -> xr.Dataset:
    """Top eigenpairs of H and G, outliers, the gradient's share, and where outliers come from."""
    parts = ("probabilities", "hessian", "gauss_newton", "class_decomposition")
    return _measure(problem, parts=parts, seed=seed).drop_vars(["probabilities", "targets"])


def split(problem: Problem, seed: int = 0, reference: Problem | None = None) -> xr.Dataset:
    """The weight of R against G, and the drift of the tangent kernel."""
    measured = _measure(problem, parts=("tangent_kernel",), seed=seed, reference=reference)
    k = problem.num_classes
    found = geometry.hessian_split(problem, k, memory_limit=MEMORY, tol=TOLERANCE, seed=seed)
    of_logits = found.logit_curvature_eigenvalues.abs().max()
    return measured.assign(
        ratio=found.ratio.value,
        ratio_stderr=found.ratio.stderr,
        # Of the C − 1 largest: the model has as many.
        gauss_newton_share=float(found.gauss_newton_share[: k - 1].mean()),
        top_ratio=float(of_logits / found.gauss_newton_eigenvalues[0]),
    )


def weight_scale(problem: Problem, seed: int = 0) -> xr.Dataset:
    """All that is followed along the weight radius."""
    parts = ("probabilities", "clustering", "hessian", "gauss_newton")
    measured = _measure(problem, parts=parts, seed=seed)
    return measured.drop_vars(["clustering_table", "centroids_gram", "probabilities", "targets"])


def sharpness(problem: Problem, seed: int = 0) -> xr.Dataset:
    """The largest eigenvalues of H and G alone."""
    units = {"units": "loss/weight²"}
    largest = {
        name: eigsh(operator(problem, memory_limit=MEMORY), 1, tol=TOLERANCE, seed=seed).values[0]
        for name, operator in (("lambda_max", Hessian), ("lambda_max_gauss_newton", GaussNewton))
    }
    measured = _measure(problem, parts=("probabilities",), seed=seed)
    values = {name: ((), float(value), units) for name, value in largest.items()}
    return measured.drop_vars(["probabilities", "targets"]).assign(values)


HYPERPLANE_DIM = 50
"""d of the hyperplanes that curvature is seen in."""

NUM_HYPERPLANES = 2


def zone(problem: Problem, seed: int = 0) -> xr.Dataset:
    """Curvature in random hyperplanes, the trace that it should have, and clustering."""
    bases = draw_bases(problem, HYPERPLANE_DIM, BasisKind.DENSE, NUM_HYPERPLANES, seed)
    point = PointOperators(problem, memory_limit=MEMORY)
    seen, H = shell_curvature(point, bases, seed=seed), point["hessian"]
    total, norm = trace(H, 20, seed=seed), frobenius_norm(H, 20, seed=seed + 1)
    expected = expected_trace(total, norm, problem.num_params, HYPERPLANE_DIM)
    clustered = geometry.logit_clustering(problem)
    return seen.assign(
        expected_trace=expected.value,
        expected_trace_stderr=expected.stderr,
        sigma_c=clustered.sigma_c,
        sigma_e=clustered.sigma_e,
    )


def loss(problem: Problem, seed: int = 0) -> xr.Dataset:
    """The loss alone, where training itself is what is watched."""
    return xr.Dataset({"loss": float(problem.loss())})


@dataclass(frozen=True)
class Parts:
    """Chosen parts of `landscope.measure`, with the options of a configuration.

    Attributes
    ----------
    parts : tuple of str
        As of `landscope.measure`.
    options : MeasureConfig
        How to measure them.
    """

    parts: tuple[str, ...]
    options: MeasureConfig = field(default_factory=MeasureConfig)

    @property
    def __name__(self) -> str:
        return "+".join(self.parts)

    def __call__(
        self, problem: Problem, seed: int = 0, reference: Problem | None = None
    ) -> xr.Dataset:
        """Measure them."""
        options = self.options.model_dump()
        options["memory_limit"] = options["memory_limit"] or MEMORY
        return geometry.measure(
            problem, parts=self.parts, reference=reference, seed=seed, **options
        )
