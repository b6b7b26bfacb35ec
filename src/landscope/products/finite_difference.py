"""The step of central differences, at which rounding and truncation are in balance."""


def step_length(rounding: float, size: float) -> float:
    """How far central differences of a gradient go from W to both sides: r^{1/3} (1 + ‖W‖).

    Along a unit vector u, [g(W + εu) − g(W − εu)] / 2ε misses H u by ε²/6 |∂³g|, for which
    gradients bend, and by r |g| / ε, for what each is rounded by. Their sum is least at
    ε = (3 r |g| / |∂³g|)^{1/3}: the cube root of the rounding times a length over which the
    gradient changes by its own size, and for that the length of W stands.

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
