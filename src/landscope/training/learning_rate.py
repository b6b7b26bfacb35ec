"""The learning rate as a closed formula of the step, so that there is no state to resume."""

import math
from collections.abc import Sequence
from typing import Literal

Decay = Literal["constant", "cosine", "step"]


def learning_rate(
    step: int,
    num_steps: int,
    peak: float,
    decay: Decay = "constant",
    warmup_steps: int = 0,
    milestones: Sequence[float] = (0.5, 0.75),
    factor: float = 0.1,
) -> float:
    """Give the learning rate η of the update that is made at `step`.

    Parameters
    ----------
    step
        Updates made so far, t.
    num_steps
        Updates in all, T.
    peak
        η₀, the learning rate after warm-up.
    decay
        "constant", "cosine" or "step".
    warmup_steps
        t₀, the number of updates over which η rises linearly to η₀.
    milestones, factor
        "step" multiplies η by `factor` at each of these fractions of the training after warm-up.

    Returns
    -------
    float
        η₀ (t + 1)/t₀ during warm-up; afterwards, with s = (t − t₀)/(T − t₀), η₀ for "constant",
        η₀ (1 + cos πs)/2 for "cosine", and η₀ factor^(number of milestones ≤ s) for "step".

    Examples
    --------
    >>> [learning_rate(step, 100, 0.1, "step") for step in (0, 49)]
    [0.1, 0.1]
    >>> round(learning_rate(75, 100, 0.1, "step"), 6)
    0.001
    >>> round(learning_rate(50, 100, 0.1, "cosine"), 6)
    0.05
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / (num_steps - warmup_steps)
    match decay:
        case "constant":
            return peak
        case "cosine":
            return peak * (1 + math.cos(math.pi * progress)) / 2
        case "step":
            return peak * factor ** sum(progress >= milestone for milestone in milestones)
    raise ValueError(f"decay is {decay!r}; accepted are 'constant', 'cosine' and 'step'")
