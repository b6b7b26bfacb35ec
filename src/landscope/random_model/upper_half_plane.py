"""Newton's method for transforms that map the upper half plane into itself."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Complex128, Int64

MOST_STEPS = 60


def newton(
    start: Complex128[np.ndarray, " x"],
    step: Callable[
        [Complex128[np.ndarray, " active"], Int64[np.ndarray, " active"]],
        Complex128[np.ndarray, " active"],
    ],
    precision: float,
) -> Complex128[np.ndarray, " x"]:
    """Roots of several equations, none of which leaves the upper half plane on the way.

    Parameters
    ----------
    start : ndarray, shape (x,)
        Where to begin, above the real axis.
    step : callable
        (places, which of the equations) ↦ Newton's steps, to be subtracted.
    precision : float
        Relative size of the last step.
    """
    roots, active = start.copy(), np.arange(len(start))
    for _ in range(MOST_STEPS):
        at = roots[active]
        taken = step(at, active)
        # A step that would cross the real axis is shortened.
        leaving = taken.imag > 0.9 * at.imag
        taken[leaving] *= 0.9 * at.imag[leaving] / taken.imag[leaving]
        roots[active] = at - taken
        active = active[np.abs(taken) > precision * np.abs(at)]
        if len(active) == 0:
            break
    return roots
