"""The step of central differences, at which rounding and truncation are in balance.

Along a unit vector u, [g(W + εu) − g(W − εu)] / 2ε misses H u by T ε², for which gradients bend
(T = |∂³g| / 6), and by R / ε, for what each gradient is rounded by. Their sum is least at
ε = (R / 2T)^{1/3}.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

MOST_STEPS = 12
"""Steps that are tried, from the longest to 10⁻⁷ of it."""


def step_length(rounding: float, size: float) -> float:
    """A step from what is known without looking at the gradients: r^{1/3} (1 + ‖W‖).

    It takes R = r |g|, and gradients that change by their own size over the length of W.

    Parameters
    ----------
    rounding : float
        r, the relative rounding of the gradients: 1.2e-7 in float32, 2.2e-16 in float64.
    size : float
        ‖W‖.

    Examples
    --------
    >>> round(step_length(1e-15, size=9.0), 10)
    0.0001
    """
    return rounding ** (1 / 3) * (1 + size)


@dataclass(frozen=True)
class Balance:
    """The best step, and what it balances.

    Attributes
    ----------
    step : float
        ε = (R / 2T)^{1/3}.
    rounding : float
        R: the differences along a unit vector are off by R / ε.
    """

    step: float
    rounding: float


def balance(
    longest: float,
    differences: Callable[[float], Float[Tensor, " n"]],
    norm: Callable[[Tensor], float],
) -> Balance:
    """The best step along one direction, from how the differences change with it.

    From 4ε to ε they change by 15 T ε² and by √17/4 R / ε, independent of each other. The step is
    divided by four until the change grows: R is then read off the last change, T off the one
    before it, less its own part of the rounding. Each step takes two gradients.

    Parameters
    ----------
    longest : float
        A step that is too long, such as `step_length`.
    differences : callable
        D, as a function of the step.
    norm : callable
        Length of a vector.

    Examples
    --------
    >>> import torch
    >>> def gradient(w):
    ...     return torch.tensor([math.exp(w)], dtype=torch.float64)
    >>> def differences(step):
    ...     return (gradient(step) - gradient(-step)) / (2 * step)
    >>> 1e-7 < balance(1e-2, differences, lambda v: float(v.norm())).step < 1e-4
    True
    """
    step, here, before = longest, differences(longest), math.inf
    for _ in range(MOST_STEPS):
        shorter = differences(step / 4)
        change = norm(here - shorter)
        if change == 0:
            return Balance(step, 0.0)
        if change >= before and change < norm(shorter) / 2:
            break
        step, here, before = step / 4, shorter, change
    rounding = change * step / math.sqrt(17)
    truncation = math.sqrt(max(before**2 - (change / 4) ** 2, 0)) / (15 * step**2)
    best = (rounding / (2 * truncation)) ** (1 / 3) if truncation else math.inf
    return Balance(min(best, 4 * step), rounding)
