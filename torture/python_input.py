"""Constructors and functions of the public interface, called with all kinds of arguments."""

import math
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
import xarray as xr
from hypothesis import strategies as st
from torch import nn

import landscope as ls
from landscope.geometry.measure import PARTS
from landscope.training.schedule import as_predicate
from landscope.zoo import make_network
from torture import values
from torture.case import Case
from torture.values import Kind, Stranger, count, flag, given, name, real, seed, whole

REFUSALS = (ValueError, TypeError, FloatingPointError, MemoryError)
"""What the documentation says that bad input raises."""

MOST_AT_ONCE = 3
"""Arguments that one call is given."""

D, N, C = 15, 12, 3
"""Parameters, examples and logits of the problem that all calls share."""


@cache
def problem(loss: str = "cross_entropy") -> ls.Problem:
    """A linear model of three classes; with "mse", of three numbers."""
    model = nn.Linear(4, C)
    with torch.no_grad():
        model.weight.copy_(torch.linspace(-1, 1, 12).view(3, 4).sin())
        model.bias.zero_()
    return ls.Problem(model, data(), loss=loss)


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Twelve examples of three classes."""
    return torch.arange(48.0).view(N, 4).cos(), torch.arange(N) % C


@cache
def matrix() -> torch.Tensor:
    """A symmetric one, its eigenvalues 1 to 15."""
    return torch.diag(torch.arange(1.0, D + 1, dtype=torch.float64))


@cache
def density() -> ls.linalg.SpectralDensity:
    """Of that matrix."""
    return ls.spectral_density(matrix(), 2, 5)


@dataclass(frozen=True)
class Target:
    """What is called, and what each of its arguments takes.

    Attributes
    ----------
    call : callable
        Takes the arguments by name.
    arguments : mapping
        Argument: its kind of values.
    """

    call: Callable[..., Any]
    arguments: Mapping[str, Kind] = field(default_factory=dict)


_A = given(
    [torch.eye(D), torch.eye(D, dtype=torch.float64)],
    [None, 3, "a", [], np.eye(3), torch.eye(3, 4), torch.zeros(3), torch.zeros(2, 2, 2),
     torch.eye(3, dtype=torch.int64), torch.full((D, D), math.nan), torch.zeros(0, 0), Stranger()],
)  # fmt: skip
_PROBLEM = given([None], [3, "a", nn.Linear(2, 2), Stranger(), torch.zeros(3), []])
"""None stands for the problem that all share."""
_METHOD = name("auto", "double_backward", "linearized")
_METHOD = Kind(  # one for each operator that is named: none may be
    _METHOD.sensible,
    _METHOD.senseless.filter(lambda value: value != {}) | st.just({"a": "auto"}),
)
_OPERATOR = given(["hessian", "gauss_newton"], [None, 3, "", "nonsense", [], Stranger(), "Hessian"])
_MEMORY = Kind(whole(10**6, 10**10).sensible, whole(1, 2).senseless).optional()
_TOL = real(1e-4, 1e-2, least=0, most=1)
_K = whole(1, D)
_K = Kind(_K.sensible, _K.senseless | st.integers(D + 1, values.HUGE)).optional()
_PROBES = Kind(whole(4, 40).sensible, whole(2, 40).senseless).optional()
_RTOL = real(0.05, 1.0, least=0).optional()
_SEARCH = {"tol": _TOL, "seed": seed(), "method": _METHOD, "memory_limit": _MEMORY}
_POINT = {"problem": _PROBLEM, "k": _K, "operator": _OPERATOR, **_SEARCH}
_LOGITS = given(
    [None, 1, 3, [0], [2, 0], (1,), torch.tensor([0, 1]), range(2)],
    [0, -1, 4, 0.5, math.nan, "a", "", [], [3], [-1], [0, 0], [0.5], ["a"], [[0]], {}, Stranger(),
     True, torch.tensor([0.5]), torch.zeros(2, 2, dtype=torch.int64), 10**400],
)  # fmt: skip
_PAIRS = Kind(st.sampled_from([None, 2, [2, 0], range(3)]), _LOGITS.senseless)
_DATA = given(
    [None, tuple(part.numpy() for part in data()), [data(), data()],
     [part.numpy() for part in data()], (data()[0].numpy(), data()[1]),
     [tuple(part.numpy() for part in data())],
     torch.utils.data.TensorDataset(*data())],
    [3, "a", 0.5, {}, [], (), iter([]), Stranger(), torch.zeros(3, 4), [torch.zeros(3, 4)], [[]],
     (torch.zeros(3, 4), torch.zeros(2, dtype=torch.int64)), [3], ["a"], [None],
     (torch.zeros(3, 5), torch.zeros(3, dtype=torch.int64)), (torch.zeros(3, 4), torch.zeros(3)),
     (torch.zeros(3, 4), torch.full((3,), 3)), (torch.zeros(3, 4), torch.full((3,), -1)),
     (torch.full((3, 4), math.nan), torch.zeros(3, dtype=torch.int64)),
     (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)), (torch.tensor(1.0), torch.tensor(1)),
     (torch.zeros(3, 4), torch.full((3, C), -1.0)), (torch.ones(3, 4).long(), torch.arange(3)),
     (np.array(["a"] * 3), np.arange(3)), (np.zeros((3, 4)), np.array([None] * 3)),
     (torch.zeros(3, 4), [0, 1, 2]), ([[1.0] * 4] * 3, [0, 1, 2]), {"x": torch.zeros(3, 4)}],
)  # fmt: skip
_LOSS = given(
    ["cross_entropy", "mse", nn.CrossEntropyLoss(weight=torch.tensor([1.0, 0, 2])),
     nn.CrossEntropyLoss(label_smoothing=0.1)],
    [None, 3, "", "nonsense", [], Stranger(), Stranger, nn.CrossEntropyLoss(weight=torch.ones(2)),
     nn.CrossEntropyLoss(weight=-torch.ones(3)), nn.CrossEntropyLoss(weight=torch.zeros(3)),
     nn.CrossEntropyLoss(weight=torch.ones(3, 3)), nn.CrossEntropyLoss(label_smoothing=0.5 + 1),
     nn.CrossEntropyLoss(weight=torch.tensor([1.0, math.nan, 1]))],
)  # fmt: skip
_PARAMS = given(
    [None, "weight", ["bias"], lambda n: n == "bias", ["weight", "bias"], "b*"],
    [3, 0.5, True, [3], [None], "", "nonsense", [], ["nonsense"], b"weight", Stranger(),
     lambda n: False, {"weight": torch.zeros(3, 4)}],
)  # fmt: skip
_DTYPE = given(
    [None, torch.float32, torch.float64], [3, "float32", torch.int64, torch.complex64, float]
)
_DEVICE = given([None, "cpu", torch.device("cpu")], ["", "nonsense", -1, 0.5, [], "cpu:x", "xla:0"])
_SCHEDULE = given(
    [1, 5, [0, 3], range(4), {0}, lambda step: True, np.int64(3), []],
    [0, -1, 0.5, math.nan, True, None, "a", [-1], [0, -3], [0.5], ["a"], Stranger(), {"a": 1}],
)
_OPTIMIZER_OF = nn.Linear(4, C)
_UNREADABLE = torch.optim.SGD(_OPTIMIZER_OF.parameters(), lr=0.1)
_UNREADABLE.param_groups[0]["lr"] = "a"
_OPTIMIZER = given(
    [None, torch.optim.SGD(_OPTIMIZER_OF.parameters(), lr=0.1),
     torch.optim.AdamW(_OPTIMIZER_OF.parameters())],
    [3, "sgd", [], Stranger(), torch.optim.SGD, torch.optim.Adagrad(_OPTIMIZER_OF.parameters()),
     _UNREADABLE, torch.optim.SGD(_OPTIMIZER_OF.parameters(), lr=0.1, maximize=True)],
)  # fmt: skip
_SCALARS = given(
    [None, {}, {"a": 1}, {"train loss": 0.5}, {"a": math.nan}, {"a": xr.DataArray(1.0)},
     {"learning_rate": torch.tensor(0.1)}],
    [3, "a", [], {1: 1}, {"": 1}, {"a/b": 1}, {"loss": 1}, {"step": 1}, {"rank": 1}, {"a": "b"},
     {"a": None}, {"a": [1, 2]}, {"a": torch.zeros(2)}, {" a": 1}, {None: 1}, {"a": Stranger()}],
)  # fmt: skip
_TRACKERS = given([(), []], [3, "a", None, [3], [None], Stranger(), [Stranger()]])
_VECTOR = given(
    [torch.linspace(0.5, 1, D)],
    [3, "a", [], [1.0] * D, torch.zeros(D + 1), torch.zeros(D, 2), torch.full((D,), math.nan),
     Stranger()],
)  # fmt: skip
_KIND = name("dense", "sparse", "fastfood", "gaussian").optional()
_DIM = whole(1, D)
_DIM = Kind(_DIM.sensible, _DIM.senseless | st.integers(D + 1, values.HUGE))
_RADII = given(
    [[0.5], (1, 2.0), np.array([1.0]), torch.tensor([0.5, 1])],
    [[], 3, None, "a", [0], [-1.0], [math.nan], [math.inf], ["a"], [None], [[1.0]], [10**400]],
)
_DIMS = given([[1], (2, 4), range(1, 3)], [[], 3, "a", [0], [D + 1], [0.5], [None], ["a"], [True]])
_SPECTRUM = given(
    [[1.0, 2.0], np.ones(3), torch.ones(4)],
    [None, 3, "a", [], [math.nan], [[1.0]], ["a"], [None], Stranger(), {}, torch.zeros(0)],
)
_LIMITS = given(
    [None, (0, 20), (-1.0, 3.0)], [3, "a", (1,), (1, 1), (2, 1), (0, math.nan), ("a", "b"), [], 0]
)


def _at(call: Callable[..., Any]) -> Callable[..., Any]:
    """The same, with the shared problem where None is given."""
    return lambda problem_=None, **rest: call(_or_shared(rest.pop("problem", None)), **rest)


def _or_shared(given_problem: Any) -> Any:
    return problem() if given_problem is None else given_problem


def _make_problem(**arguments: Any) -> None:
    made = arguments.pop("data", None)
    model = arguments.pop("model", None)
    ls.Problem(nn.Linear(4, C) if model is None else model, data() if made is None else made,
               **arguments).loss()  # fmt: skip


def _record(**arguments: Any) -> None:
    step, scalars = arguments.pop("step", 0), arguments.pop("scalars", None)
    arguments = {"schedule": 1, "measure": _loss_alone, **arguments}
    optimizer = arguments.get("optimizer")
    with tempfile.TemporaryDirectory() as folder:
        recorder = ls.Recorder(_or_shared(arguments.pop("problem", None)), folder, **arguments)
        weights = recorder.problem.parameters_vector() if optimizer is None else _OPTIMIZER_OF
        recorder.step(weights, step, scalars)
        recorder.close()


def _loss_alone(point: ls.Problem) -> xr.Dataset:
    return xr.Dataset({"value": float(point.loss())})


def _stability(**arguments: Any) -> None:
    model = nn.Linear(4, C)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    here = arguments.pop("problem", None)
    ls.stability(problem().at(model) if here is None else here, model, optimizer, **arguments)


def _train_in_hyperplanes(**arguments: Any) -> None:
    here = _or_shared(arguments.pop("problem", None))
    quick = {"descent": ls.AdamDescent(steps=2), "dims": [2], "num_seeds": 1}
    ls.intrinsic_dimension(here, **{**quick, **arguments})


def _solve(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda **arguments: function(arguments.pop("A", matrix()), **arguments)


def _eigsh(**arguments: Any) -> None:
    _solve(ls.eigsh)(**{"k": 2, **arguments})


def _zone(problem: ls.Problem, **arguments: Any) -> None:
    ls.goldilocks(problem, **{"radii": [1.0], "dim": 2, **arguments})


TARGETS: Mapping[str, Target] = {
    "Problem": Target(
        _make_problem,
        {
            "model": given([None], [3, "a", Stranger(), Stranger, nn.ReLU(), nn.Linear(4, 1)]),
            "data": _DATA,
            "loss": _LOSS,
            "params": _PARAMS,
            "batch_size": whole(1, 20).optional(),
            "device": _DEVICE,
            "dtype": _DTYPE,
            "forward": given([None], [3, "a", [], Stranger()]),
            "weight_decay": real(0, 10, least=-1e-300),
            "batch_statistics": Kind(st.just(False), flag().senseless),
            "shard": Kind(st.just(False), flag().senseless | st.just(True)),
        },
    ),
    "eigsh": Target(
        _eigsh,
        {
            "A": _A,
            "k": Kind(whole(1, 5).sensible, _K.senseless),
            "which": name("LA", "SA", "LM", "BE"),
            "tol": _TOL,
            "seed": seed(),
            "max_products": Kind(whole(D, 200).sensible, whole(3, 200).senseless).optional(),
            "basis_size": Kind(whole(D, 60).sensible, whole(3, 60).senseless).optional(),
            "storage": name("device", "host", "disk"),
            "v0": given([None, torch.ones(D)], [3, "a", [], torch.zeros(D), torch.ones(D + 1)]),
        },
    ),
    "spectral_density": Target(
        _solve(ls.spectral_density),
        {
            "A": _A,
            "num_probes": count(1, 5).optional(),
            "num_steps": whole(1, 20),
            "seed": seed(),
            "num_grid": count(1, 50),
            "width": real(0.1, 10, least=0).optional(),
            "limits": _LIMITS,
            "deflate": given([0, 3, "converged"], [-1, D + 1, 0.5, None, "a", "", [], Stranger()]),
            "rtol": real(0.15, 1.0, least=0).optional(),  # 1/rtol² probes
            "storage": name("device", "host", "disk"),
        },
    ),
    "SpectralDensity.mass": Target(
        lambda a=0.0, b=40.0: density().mass(a, b),
        {"a": Kind(st.floats(-9, 9), st.sampled_from(values.NO_NUMBERS)),
         "b": Kind(st.floats(10, 99), st.sampled_from(values.NO_NUMBERS))},
    ),
    "SpectralDensity.quantile": Target(
        lambda q=0.5: density().quantile(q), {"q": real(0.01, 0.99, least=0, most=1)}
    ),
    "SpectralDensity.interval": Target(
        lambda level=0.5: density().interval(level), {"level": real(0.01, 0.99, least=0, most=1)}
    ),
    "trace": Target(
        _solve(ls.trace),
        {"A": _A, "num_probes": _PROBES, "seed": seed(), "rtol": _RTOL,
         "method": name("xtrace", "hutch++", "hutchinson")},
    ),
    "frobenius_norm": Target(
        _solve(ls.frobenius_norm),
        {"A": _A, "num_probes": _PROBES, "seed": seed(), "rtol": _RTOL},
    ),
    "diagonal": Target(_solve(ls.diagonal), {"A": _A, "num_probes": whole(2, 40), "seed": seed()}),
    "Estimate.interval": Target(
        lambda level=0.5: ls.Estimate(1.0, 0.1).interval(level),
        {"level": real(0.01, 0.99, least=0, most=1)},
    ),
    "wasserstein_distance": Target(
        lambda a=(1.0,), b=(2.0,), dim=None: ls.wasserstein_distance(a, b, dim),
        {"a": _SPECTRUM, "b": _SPECTRUM,
         "dim": Kind(whole(4, 9).sensible, whole(1, 9).senseless).optional()},
    ),
    "block_traces": Target(
        lambda **rest: ls.block_traces(ls.Hessian(problem()), **rest),
        {"num_probes": whole(2, 40), "seed": seed(), "by": name("parameter", "module")},
    ),
    "Hessian": Target(
        _at(lambda p, **rest: ls.Hessian(p, **rest) @ p.weights),
        {"problem": _PROBLEM, "method": _METHOD, "memory_limit": _MEMORY, "self_check": flag()},
    ),
    "Preconditioned": Target(
        lambda scale, ridge=None: ls.Preconditioned(ls.Hessian(problem()), scale, ridge),
        {"scale": _VECTOR},
    ),
    "curvature": Target(_at(ls.curvature), _POINT),
    "gradient_overlap": Target(_at(ls.gradient_overlap), _POINT),
    "hessian_split": Target(_at(ls.hessian_split), {"problem": _PROBLEM, "k": _K, **_SEARCH}),
    "logit_clustering": Target(
        _at(ls.logit_clustering),
        {"problem": _PROBLEM, "logits": _PAIRS, "seed": seed(), "memory_limit": _MEMORY},
    ),
    "class_probabilities": Target(
        _at(ls.class_probabilities), {"problem": _PROBLEM, "logits": _LOGITS, "seed": seed()}
    ),
    "class_decomposition": Target(_at(ls.class_decomposition), {"problem": _PROBLEM, "k": _K}),
    "tangent_kernel": Target(
        _at(ls.tangent_kernel),
        {"problem": _PROBLEM, "reference": _PROBLEM,
         "k": Kind(whole(1, N * C).sensible,
                   whole(1, N * C).senseless | st.just(N * C + 1)).optional(),
         "tol": _TOL, "seed": seed()},
    ),
    "measure": Target(
        _at(lambda p, **rest: ls.measure(p, **{"parts": ["probabilities"], **rest})),
        {
            "problem": _PROBLEM,
            "parts": given([["probabilities"], ("clustering",), {"hessian"}, list(PARTS[:3])],
                           [None, 3, "", "hessian", [], ["a"], [3], [None], ["hessian", []]]),
            "num_eigenvalues": _K,
            "logits": _LOGITS,
            "num_probes": count(1, 5),
            "num_steps": whole(1, 20),
            "reference": _PROBLEM,
            **_SEARCH,
        },
    ),
    "stability": Target(
        _stability,
        {"problem": _PROBLEM, "sharpness": real(-10, 10).optional(), **_SEARCH},
    ),
    "gram_spectrum": Target(_at(ls.gram_spectrum), {"problem": _PROBLEM}),
    "gram_eigenpairs": Target(
        _at(ls.gram_eigenpairs), {"problem": _PROBLEM, "k": whole(1, D).optional()}
    ),
    "low_rank_spectrum": Target(
        _at(lambda p, k=2, **rest: ls.low_rank_spectrum(p, k, **rest)),
        {"problem": _PROBLEM, "k": Kind(whole(1, D).sensible, _K.senseless), "tol": _TOL,
         "seed": seed()},
    ),
    "AffineHyperplane": Target(
        _at(lambda p, dim=2, **rest: ls.AffineHyperplane(p, dim, **rest).at()),
        {"problem": _PROBLEM, "dim": _DIM, "kind": _KIND, "seed": seed(), "origin": _VECTOR,
         "orthonormalise": flag()},
    ),
    "goldilocks": Target(
        _at(_zone),
        {"problem": _PROBLEM, "radii": _RADII, "dim": _DIM, "num_hyperplanes": count(1, 3),
         "kind": name("dense", "sparse", "fastfood", "gaussian"), "seed": seed(),
         "exact": Kind(flag().sensible | st.none(), flag().optional().senseless),
         "method": _METHOD, "memory_limit": _MEMORY},
    ),
    "intrinsic_dimension": Target(
        _train_in_hyperplanes,
        {"problem": _PROBLEM, "dims": _DIMS, "test": _PROBLEM, "num_seeds": count(1, 2),
         "threshold": real(0.01, 1, least=0), "seed": seed(),
         "kind": name("dense", "sparse", "fastfood", "gaussian"),
         "descent": given([ls.AdamDescent(steps=1)], [3, "a", Stranger(), ls.AdamDescent, 0, ""]),
         "score": given([lambda p: 0.5], [3, "a", None, Stranger()])},
    ),
    "AdamDescent": Target(
        ls.AdamDescent,
        {"steps": count(1, 100), "batch_size": count(1, 100),
         "step_size": real(1e-9, 10, least=0), "full_step_size": real(1e-9, 10, least=0)},
    ),
    "Recorder": Target(
        _record,
        {"problem": _PROBLEM, "schedule": _SCHEDULE, "optimizer": _OPTIMIZER,
         "measure": given([_loss_alone], [3, "a", [], Stranger()]),
         "max_overhead": real(0.01, 0.9, least=0, most=1).optional(), "warm_start": flag(),
         "trackers": _TRACKERS, "step": whole(0, 20), "scalars": _SCALARS},
    ),
    "schedule": Target(lambda schedule=1: as_predicate(schedule)(3), {"schedule": _SCHEDULE}),
    "make_network": Target(
        lambda kind="small_cnn", **rest: make_network(kind, (1, 8, 8), **rest),
        {"num_classes": whole(2, 9), "width": real(0.01, 1, least=0, most=1e7), "seed": seed(),
         "nonlinearity": name("relu", "tanh"), "normalization": name("none", "group")},
    ),
}  # fmt: skip


def cases(targets: Mapping[str, Target] = TARGETS) -> st.SearchStrategy[Case]:
    """Calls of each target with up to three arguments, sensible or not."""
    return st.sampled_from(sorted(targets)).flatmap(lambda one: _case(one, targets[one]))


@st.composite
def _case(draw: st.DrawFn, target_name: str, target: Target) -> Case:
    chosen = draw(
        st.lists(st.sampled_from(sorted(target.arguments)), min_size=1, max_size=MOST_AT_ONCE,
                 unique=True)
    )  # fmt: skip
    arguments, senseless = {}, []
    for argument in chosen:
        kind = target.arguments[argument]
        good = draw(st.booleans())
        arguments[argument] = draw(kind.sensible if good else kind.senseless)
        senseless += [] if good else [argument]
    return Case(target_name, arguments, tuple(senseless))


def call(case: Case) -> str | None:
    """Make the call; the sentence of a refusal, None where it was accepted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            TARGETS[case.target].call(**case.given)
        except REFUSALS as refusal:
            return str(refusal)
    return None
