"""Newton's method for transforms that map the upper half plane into itself."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Complex128, Float64

MOST_STEPS = 30
STRIDE = 10.0
LEAST_STRIDE = 1.001

Step = Callable[
    [Complex128[np.ndarray, " active"], Complex128[np.ndarray, " active"]],
    Complex128[np.ndarray, " active"],
]
"""(places, z) ↦ Newton's steps, to be subtracted."""


def descend(
    start: Complex128[np.ndarray, " x"],
    x: Float64[np.ndarray, " x"],
    far: Float64[np.ndarray, " x"],
    near: Float64[np.ndarray, " x"],
    step: Step,
    precision: float,
) -> Complex128[np.ndarray, " x"]:
    """Follow the roots of several equations from z = x + i·far down to x + i·near.

    Where Newton's method does not arrive from one height at the next, the stride is shortened.

    Parameters
    ----------
    start : ndarray, shape (x,)
        Where to begin, above the real axis.
    x, far, near : ndarray, shape (x,)
        Real parts, and the first and last imaginary part, of z.
    step : callable
        (places, z) ↦ Newton's steps, to be subtracted.
    precision : float
        Relative size of the last step.

    Raises
    ------
    ArithmeticError
        Where not even the shortest stride leads on.
    """
    roots, height, stride = start.copy(), np.inf * far, np.full(len(x), STRIDE)
    while len(pending := np.flatnonzero(height > near)):
        aim = np.maximum(np.minimum(height[pending] / stride[pending], far[pending]), near[pending])
        found, arrived = _newton(roots[pending], x[pending] + 1j * aim, step, precision)
        reached, missed = pending[arrived], pending[~arrived]
        roots[reached], height[reached] = found[arrived], aim[arrived]
        stride[reached] = np.minimum(stride[reached] ** 1.5, STRIDE)
        stride[missed] = stride[missed] ** 0.5
        if (stride[missed] < LEAST_STRIDE).any():
            raise ArithmeticError(f"the density has no solution at {x[missed[0]]:g} of its units")
    return roots


def _newton(
    start: Complex128[np.ndarray, " x"],
    z: Complex128[np.ndarray, " x"],
    step: Step,
    precision: float,
) -> tuple[Complex128[np.ndarray, " x"], Bool[np.ndarray, " x"]]:
    """Roots, none of which leaves the upper half plane on the way, and which were found."""
    roots, active = start.copy(), np.arange(len(start))
    with np.errstate(all="ignore"):  # a root that is lost is not among those found
        for _ in range(MOST_STEPS):
            at = roots[active]
            taken = step(at, z[active])
            # A step that would cross the real axis is shortened.
            leaving = taken.imag > 0.9 * at.imag
            taken[leaving] *= 0.9 * at.imag[leaving] / taken.imag[leaving]
            roots[active] = at - taken
            active = active[~(np.abs(taken) <= precision * np.abs(at))]
            if len(active) == 0:
                break
    found = np.ones(len(roots), bool)
    found[active] = False
    return roots, found & (roots.imag > 0)
