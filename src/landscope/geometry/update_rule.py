"""What an optimiser does to a quadratic, read from its parameter groups and its state."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from numbers import Real
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from landscope.geometry.stability_limit import heavy_ball_limit, nesterov_limit
from landscope.problem import Problem
from landscope.problem.forward import unwrapped

Group = Mapping[str, Any]
"""A parameter group of a torch optimiser."""


@dataclass(frozen=True)
class UpdateRule:
    """An update w ← w − ηP⁻¹(…), with the momentum in what is left out, stable to a limit.

    Attributes
    ----------
    name : str
        "gradient descent", "heavy ball", "Nesterov", "Adam", "AdamW" or "RMSprop".
    learning_rate : float
        η, the largest of the measured parameters.
    threshold : float
        The largest η λ_max(P⁻¹H) at which the update is stable on a quadratic.
    scale : Tensor, shape (D,)
        P^(−1/2). A parameter whose own learning rate is lower has that much larger a P.
    ridge : Tensor, shape (D,)
        The weight decay that the optimiser adds to the gradient, and so to H.
    """

    name: str
    learning_rate: float
    threshold: float
    scale: Float[Tensor, " D"] = field(repr=False)
    ridge: Float[Tensor, " D"] = field(repr=False)

    @property
    def preconditioned(self) -> bool:
        """Whether P differs from the identity."""
        return bool((self.scale != 1).any())


def update_rule(
    problem: Problem, model: nn.Module | Mapping[str, Tensor], optimizer: Any
) -> UpdateRule:
    """Read what an optimiser does to the measured parameters, at its present step.

    Parameters
    ----------
    problem : Problem
        What is measured, at the model's weights.
    model : nn.Module or mapping of names to tensors
        The model being trained, alone or in DataParallel, DistributedDataParallel or
        torch.compile: its parameters are those that the optimiser holds, by identity. Of a
        function, its parameters by name.
    optimizer : torch.optim.Optimizer, or an object that has one as ``.optimizer``
        SGD, Adam, AdamW or RMSprop, alone or in a wrapper such as accelerate's.

    Returns
    -------
    UpdateRule
        Learning rate, limit, preconditioner and weight decay.

    Raises
    ------
    TypeError
        For another optimiser.
    ValueError
        For a learning rate that is no number, parameter groups that differ in their momentum,
        ascent (``maximize``), or a measured parameter that the optimiser does not have.

    Notes
    -----
    P is what torch divides the averaged gradient by at the step count t of its state:
    (1 − β₁ᵗ)[√(v/(1 − β₂ᵗ)) + ε] for Adam, with the largest v so far for AMSGrad, and √v + ε for
    RMSprop, with √(v − m²) where it is centred. Before the first update v is taken as that update
    will leave it, with the gradient of the whole problem: (1 − β₁)(|g| + ε) and
    √(1 − α)|g| + ε. AdamW's decay acts on the weights apart from P and is left out: of the limit
    of η λ_max(P⁻¹H) it takes ηλ, far below 1. Cohen et al. 2022, arXiv:2207.14484, Section 2.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> model = torch.nn.Linear(3, 2)
    >>> problem = ls.Problem(model, (torch.eye(3), torch.tensor([0, 1, 0])))
    >>> update_rule(problem, model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5))
    UpdateRule(name='heavy ball', learning_rate=0.1, threshold=3.0)
    """
    optimizer = readable(optimizer)
    read_momentum, read_preconditioner = _READERS[type(optimizer)]
    weights = problem.unflatten(problem.parameters_vector())
    parameters = _parameters(model, weights)
    groups = _groups(optimizer, parameters)
    rates = {name: _learning_rate(group) for name, group in groups.items()}
    decays = {name: _coupled_decay(group) for name, group in groups.items()}
    rules = {read_momentum(group) for group in groups.values()}
    if len(rules) > 1:
        limits = " and ".join(f"{threshold:g}/η" for _, threshold in sorted(rules))
        raise ValueError(
            f"optimizer has parameter groups of different momentum, with the limits {limits}; "
            "accepted is one momentum for all measured parameters"
        )
    ((rule, threshold),) = rules
    gradients = cache(lambda: problem.unflatten(problem.gradient()))
    highest = max(rates.values())

    def scale(name: str) -> Tensor:
        w, decay = weights[name], decays[name]
        P = read_preconditioner(
            groups[name],
            optimizer.state.get(parameters[name], {}),
            lambda: gradients()[name] + decay * w,
        )
        relative_rate = rates[name] / highest if highest else 1.0
        return (relative_rate / torch.as_tensor(P).to(w)).sqrt().expand_as(w)

    return UpdateRule(
        name=rule,
        learning_rate=highest,
        threshold=threshold,
        scale=problem.flatten({name: scale(name) for name in weights}),
        ridge=problem.flatten({n: torch.full_like(w, decays[n]) for n, w in weights.items()}),
    )


def readable(optimizer: Any) -> Optimizer:
    """The optimiser of torch behind ``optimizer``, if it can be read for some model.

    Raises
    ------
    TypeError
        For another optimiser.
    ValueError
        Where no parameter group has a learning rate that is a number, or one that descends.
    """
    while isinstance(inner := getattr(optimizer, "optimizer", None), Optimizer):
        optimizer = inner
    if type(optimizer) not in _READERS:
        raise TypeError(
            f"optimizer is a {type(optimizer).__name__}; accepted are "
            f"{', '.join(known.__name__ for known in _READERS)} of torch.optim, alone or wrapped"
        )
    refusals = []
    for group in optimizer.param_groups:
        try:
            _check_descent(group)
            _learning_rate(group)
        except ValueError as refusal:
            refusals.append(refusal)
    if len(refusals) == len(optimizer.param_groups):  # others may hold what is measured
        raise refusals[0]
    return optimizer


def _sgd_momentum(group: Group) -> tuple[str, float]:
    momentum = float(group["momentum"])
    if group["nesterov"]:
        return "Nesterov", nesterov_limit(momentum)
    if momentum:
        return "heavy ball", heavy_ball_limit(momentum, float(group["dampening"]))
    return "gradient descent", heavy_ball_limit(0.0)  # torch dampens nothing without momentum


def _adam_momentum(group: Group) -> tuple[str, float]:
    beta = float(group["betas"][0])
    name = "AdamW" if group["decoupled_weight_decay"] else "Adam"
    return name, heavy_ball_limit(beta, dampening=beta)


def _rmsprop_momentum(group: Group) -> tuple[str, float]:
    return "RMSprop", heavy_ball_limit(float(group["momentum"]))


Gradient = Callable[[], Tensor]
"""The gradient of one parameter, computed where it is asked for."""


def _no_preconditioner(group: Group, state: Mapping[str, Any], gradient: Gradient) -> float:
    return 1.0


def _adam_preconditioner(group: Group, state: Mapping[str, Any], gradient: Gradient) -> Tensor:
    beta1, beta2 = map(float, group["betas"])
    if state:
        t, v = float(state["step"]), state["max_exp_avg_sq" if group["amsgrad"] else "exp_avg_sq"]
    else:
        t, v = 1.0, (1 - beta2) * gradient().square()
    return (1 - beta1**t) * ((v / (1 - beta2**t)).sqrt() + group["eps"])


def _rmsprop_preconditioner(group: Group, state: Mapping[str, Any], gradient: Gradient) -> Tensor:
    alpha = float(group["alpha"])
    v = state["square_avg"] if state else (1 - alpha) * gradient().square()
    if group["centered"]:
        m = state["grad_avg"] if state else (1 - alpha) * gradient()
        v = v - m.square()
    return v.sqrt() + group["eps"]


_Momentum = Callable[[Group], tuple[str, float]]
_Preconditioner = Callable[[Group, Mapping[str, Any], Gradient], Tensor | float]
_READERS: Mapping[type[Optimizer], tuple[_Momentum, _Preconditioner]] = {
    SGD: (_sgd_momentum, _no_preconditioner),
    Adam: (_adam_momentum, _adam_preconditioner),
    AdamW: (_adam_momentum, _adam_preconditioner),
    RMSprop: (_rmsprop_momentum, _rmsprop_preconditioner),
}


def _parameters(
    model: nn.Module | Mapping[str, Tensor], measured: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The trained tensors behind the measured names; tied ones have several."""
    if isinstance(model, nn.Module):
        named: Mapping[str, Tensor] = dict(
            unwrapped(model).named_parameters(remove_duplicate=False)
        )
    elif isinstance(model, Mapping):
        named = model
    else:
        raise TypeError(
            f"model is a {type(model).__name__}; accepted are an nn.Module and a mapping of names "
            "to tensors"
        )
    for name in measured:
        if name not in named:
            raise ValueError(
                f"model has no parameter {name!r}, which the problem measures; it must be the "
                "model of the problem"
            )
    return {name: named[name] for name in measured}


def _groups(optimizer: Optimizer, parameters: Mapping[str, Tensor]) -> dict[str, Group]:
    """The parameter group of each measured parameter."""
    group_of = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in parameters.items():
        if id(parameter) not in group_of:
            raise ValueError(
                f"optimizer does not hold the parameter {name!r} of the model, which the problem "
                "measures; accepted is one that holds every measured parameter"
            )
        _check_descent(group_of[id(parameter)])
    return {name: group_of[id(parameter)] for name, parameter in parameters.items()}


def _check_descent(group: Group) -> None:
    if group.get("maximize"):
        raise ValueError("optimizer has maximize=True; accepted is one that descends the loss")


def _learning_rate(group: Group) -> float:
    rate = group.get("lr")
    number: Any = rate.item() if isinstance(rate, Tensor) and rate.numel() == 1 else rate
    is_number = isinstance(number, Real) and not isinstance(number, bool)
    if not (is_number and 0 <= float(number) < math.inf):
        raise ValueError(
            f"optimizer has a parameter group whose learning rate is {rate!r}, which cannot be "
            "read; accepted is a finite number of at least 0 under 'lr', where schedules write it"
        )
    return float(number)


def _coupled_decay(group: Group) -> float:
    """Weight decay that is part of the gradient; AdamW's is not."""
    return 0.0 if group.get("decoupled_weight_decay") else float(group["weight_decay"])
