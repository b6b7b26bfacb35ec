"""How steep a quadratic an update with momentum can descend: the largest stable ηλ."""


def heavy_ball_limit(momentum: float, dampening: float = 0.0) -> float:
    """2(1 + β)/(1 − τ): below this ηλ, b ← βb + (1 − τ)g, w ← w − ηb is stable.

    Parameters
    ----------
    momentum : float
        β; zero is gradient descent, with the limit 2.
    dampening : float
        τ; that of a moving average, such as Adam's of the gradient, is β.

    Returns
    -------
    float
        The limit of ηλ on a quadratic of curvature λ.

    Raises
    ------
    ValueError
        For a momentum outside [0, 1), or a dampening of 1 or more: no step is stable then.

    Notes
    -----
    With g = λw the weight follows w″ = (1 + β − κ)w′ − βw, κ = η(1 − τ)λ. Both roots of
    z² − (1 + β − κ)z + β lie inside the unit circle where 0 < κ < 2(1 + β); at the upper end one
    leaves it at z = −1, and the weight swings from side to side. Cohen et al. 2021,
    arXiv:2103.00065, Appendix B; for Adam 2022, arXiv:2207.14484.

    Examples
    --------
    >>> heavy_ball_limit(0.0), heavy_ball_limit(0.5), round(heavy_ball_limit(0.9, dampening=0.9), 9)
    (2.0, 3.0, 38.0)
    """
    _check(momentum)
    if dampening >= 1:
        raise ValueError(f"dampening is {dampening}; it must be below 1")
    return 2 * (1 + momentum) / (1 - dampening)


def nesterov_limit(momentum: float) -> float:
    """2(1 + β)/(1 + 2β): below this ηλ, b ← βb + g, w ← w − η(g + βb) is stable.

    Parameters
    ----------
    momentum : float
        β.

    Returns
    -------
    float
        The limit of ηλ on a quadratic of curvature λ.

    Raises
    ------
    ValueError
        For a momentum outside [0, 1).

    Notes
    -----
    The map of (w, b) has trace 1 + β − (1 + β)κ and determinant β(1 − κ), κ = ηλ; its eigenvalues
    lie inside the unit circle where 0 < κ < 2(1 + β)/(1 + 2β). Looking ahead costs stability:
    the limit is 4/3 as β → 1, a third of the heavy ball's 4. Cohen et al. 2021, arXiv:2103.00065,
    Appendix B.

    Examples
    --------
    >>> nesterov_limit(0.5)
    1.5
    """
    _check(momentum)
    return 2 * (1 + momentum) / (1 + 2 * momentum)


def _check(momentum: float) -> None:
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}; it must lie in [0, 1)")
