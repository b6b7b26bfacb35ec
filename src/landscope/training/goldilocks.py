"""The Goldilocks zone: curvature in random hyperplanes against the weight radius."""

import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import xarray as xr
from torch import nn

from landscope import arguments as check
from landscope.geometry.accuracy import accuracy
from landscope.geometry.class_probabilities import class_probabilities
from landscope.geometry.point_operators import Methods, PointOperators
from landscope.hyperplanes import (
    Basis,
    BasisKind,
    HyperplaneCurvature,
    draw_basis,
    random_kind,
)
from landscope.hyperplanes.curvature import curvature_of
from landscope.operators import Projected
from landscope.problem import Problem, checked_problem
from landscope.problem.checks import check_one_process
from landscope.products import ProductMethod
from landscope.runs import Run

RADII = tuple(np.geomspace(0.03, 30, 13).tolist())
"""Three decades around the point itself."""

MOST_HYPERPLANES = 10_000
"""Each is projected onto at each radius, and their bases are kept."""

OPERATORS = {"": "hessian", "gauss_newton_": "gauss_newton"}
"""What is projected, by the prefix of its variables."""

_CURVATURE_UNITS = "loss/weight²"
_QUANTITIES = {
    "trace": ("Tr PᵀAP", _CURVATURE_UNITS),
    "frobenius_norm": ("‖PᵀAP‖_F", _CURVATURE_UNITS),
    "trace_over_norm": ("Tr PᵀAP/‖PᵀAP‖_F", "1"),
    "positive_share": ("share of positive eigenvalues of PᵀAP", "1"),
}
_NORMALISATIONS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)


class ScaleInvarianceWarning(UserWarning):
    """The weight radius says little of a network that normalises its activations."""


def goldilocks(
    problem: Problem,
    radii: Sequence[float] = RADII,
    dim: int = 50,
    *,
    kind: BasisKind | str = BasisKind.DENSE,
    num_hyperplanes: int = 3,
    exact: bool | None = None,
    method: Methods = ProductMethod.AUTO,
    memory_limit: int | None = None,
    seed: int = 0,
    run: str | Path | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> xr.Dataset:
    """Measure the curvature seen in random hyperplanes along the weight radius.

    At W = r·W₀ for each radius r, W₀ the problem's own weights, H and G are projected onto random
    hyperplanes of d dimensions, the same ones at each radius.

    Parameters
    ----------
    problem : Problem
        At initial weights, which are radius 1, or at any others.
    radii : sequence of float
        Multiples of the weights, positive; 13 over three decades if absent.
    dim : int
        d.
    kind : BasisKind or str
        Of the hyperplanes' bases.
    num_hyperplanes : int
        Hyperplanes whose mean is taken; their scatter gives standard errors.
    exact : bool, optional
        Whether to build each d × d matrix; up to d = 512 if absent. See
        `AffineHyperplane.curvature`.
    method, memory_limit
        Of the products, as of `landscope.curvature`.
    seed : int
        Of the first hyperplane.
    run : path, optional
        A run folder that keeps each radius, so that the same call goes on where it was stopped; a
        call with another problem or other choices is refused.
    progress : callable, optional
        Called as progress(done, total, doing).

    Returns
    -------
    xarray.Dataset
        Along `radius`: `trace_over_norm`, `positive_share`, `trace` and `frobenius_norm` of PᵀHP,
        means over hyperplanes with their standard errors beside them as ``X_stderr`` (NaN with a
        single hyperplane), the same of PᵀGP with the prefix ``gauss_newton_``, and single
        hyperplanes as ``X_each`` along (radius, hyperplane); `sigma_z`, `entropy` and `accuracy` of
        the examples at that radius where the data have class labels; `weight_norm` and `loss`.

    Raises
    ------
    ValueError
        For a radius that is not positive and finite, d outside 1 to D, or a run folder of another
        problem or of other choices.

    Warns
    -----
    ScaleInvarianceWarning
        Where the model normalises its activations: the scale of the weights before a normalisation
        has no effect, so that the radius is no axis of weight space.

    Notes
    -----
    S. Fort and A. Scherlis, "The Goldilocks zone: towards better understanding of neural network
    loss landscapes" (2018), arXiv:1807.02581: a shell of radii with a high share of positive
    eigenvalues and a high Tr/‖·‖_F, in which usual initialisations lie. Fort & Ganguli 2019,
    arXiv:1910.05929, property 4.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    >>> problem = ls.Problem(net, (torch.randn(30, 4), torch.arange(30) % 3))
    >>> zone = ls.goldilocks(problem, radii=[0.1, 1.0, 10.0], dim=5)
    >>> zone.trace_over_norm.dims, zone.sizes["hyperplane"]
    (('radius',), 3)
    """
    check_one_process(checked_problem(problem).ranks, "goldilocks")
    checked = [check.real(each, r, "(0, ∞)") for each, r in check.several("radii", radii)]
    num_hyperplanes = check.whole("num_hyperplanes", num_hyperplanes, 1, MOST_HYPERPLANES)
    seed = check.seed(seed)
    if exact is not None:
        check.flag("exact", exact)
    PointOperators(problem, method, memory_limit)  # refuses what it cannot use
    _warn_of_normalisation(problem)
    kind = random_kind(kind)
    bases = draw_bases(problem, dim, kind, num_hyperplanes, seed)
    kept = None
    if run is not None:
        choices = {"radii": checked, "dim": dim, "kind": str(kind), "seed": seed}
        choices |= {"num_hyperplanes": num_hyperplanes, "exact": exact, "method": method}
        kept = Run.create(run, {**choices, "problem": problem.identity()})
    weights, shells = problem.parameters_vector(), []
    for place, radius in enumerate(checked):
        if progress is not None:
            progress(place, len(checked), f"radius {radius:.3g}")
        if kept is None or place not in kept.steps():
            at = problem.at(radius * weights)
            shell = shell_curvature(PointOperators(at, method, memory_limit), bases, exact, seed)
            if kept is not None:
                kept.write_snapshot(place, shell)
        else:
            shell = kept.snapshot(place).drop_vars("step")
        shells.append(shell.expand_dims(radius=[radius]))
    return xr.concat(shells, "radius").assign_attrs(
        dim=dim, kind=str(kind), num_params=problem.num_params, num_examples=problem.num_examples
    )


def draw_bases(
    problem: Problem, dim: int, kind: BasisKind, num_hyperplanes: int, seed: int
) -> list[Basis]:
    """Draw so many random bases, with the seeds from `seed` on."""
    return [
        draw_basis(kind, problem.num_params, dim, at, problem.dtype, problem.device)
        for at in range(seed, seed + num_hyperplanes)
    ]


def shell_curvature(
    point: PointOperators, bases: Sequence[Basis], exact: bool | None = None, seed: int = 0
) -> xr.Dataset:
    """Measure PᵀHP and PᵀGP at one point, for each of some bases; see `goldilocks`."""
    variables: dict[str, xr.Variable] = {}
    for prefix, name in OPERATORS.items():
        each = [curvature_of(Projected(point[name], P), exact, seed) for P in bases]
        variables |= _with_errors(prefix, each)
    return xr.Dataset(variables | _of_the_point(point.problem))


def _with_errors(prefix: str, each: Sequence[HyperplaneCurvature]) -> dict[str, xr.Variable]:
    """Means over hyperplanes, their standard errors, and the single values."""
    variables: dict[str, xr.Variable] = {}
    for name, (long_name, units) in _QUANTITIES.items():
        values = np.array([float(getattr(one, name)) for one in each])
        stderr = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else math.nan
        attributes = {"long_name": f"{long_name}, A = {'G' if prefix else 'H'}", "units": units}
        of_error = {"long_name": f"standard error of the mean over hyperplanes: {long_name}"}
        variables |= {
            f"{prefix}{name}": xr.Variable((), values.mean(), attributes),
            f"{prefix}{name}_stderr": xr.Variable((), stderr, {**of_error, "units": units}),
            f"{prefix}{name}_each": xr.Variable("hyperplane", values, attributes),
        }
    return variables


def _of_the_point(problem: Problem) -> dict[str, xr.Variable]:
    """Spread and freezing of the logits, where there are class labels, and where the point lies."""
    numbers = {
        "weight_norm": (float(problem.parameters_vector().double().norm()), "weight"),
        "loss": (float(problem.loss()), "nats"),
    }
    with suppress(ValueError):  # a regression has no classes
        numbers["accuracy"] = (accuracy(problem).value, "1")
        found = class_probabilities(problem)
        numbers |= {
            "sigma_z": (found.sigma_z.value, "1"),
            "entropy": (found.entropy.value, "nats"),
            "participation": (found.participation.value, "1"),
        }
    return {name: xr.Variable((), value, {"units": u}) for name, (value, u) in numbers.items()}


def _warn_of_normalisation(problem: Problem) -> None:
    if problem.module is None:
        return
    for name, module in problem.module.named_modules():
        if isinstance(module, _NORMALISATIONS):
            warnings.warn(
                f"model has {type(module).__name__} {name!r}: the scale of the weights before it "
                "does not matter to what it computes, so the weight radius means little here",
                ScaleInvarianceWarning,
                stacklevel=3,
            )
            return
