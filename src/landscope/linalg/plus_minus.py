"""A number and its error as one text, to two digits of the error."""

import math

_MOST_DECIMALS = 9


def plus_minus(value: float, error: float) -> str:
    """Write a number with its error, to two digits of the error.

    Parameters
    ----------
    value : float
        Finite.
    error : float
        Its standard error, positive and finite.

    Returns
    -------
    str
        With a power of ten where the larger of the two lies outside of 10⁻⁴ to 10⁶; an error in
        digits beyond the ninth decimal is written by itself.

    Examples
    --------
    >>> plus_minus(1234.5678, 3.21), plus_minus(52.3, 9.96), plus_minus(123456.0, 4321.0)
    ('1234.6 ± 3.2', '52 ± 10', '123500 ± 4300')
    >>> plus_minus(1.5e12, 3e10), plus_minus(2.0, 1e-15)
    ('(1.500 ± 0.030)e+12', '2 ± 1.0e-15')
    """
    exponent = _exponent(max(abs(value), error))
    power = 0 if -4 <= exponent < 6 else exponent
    decimals = power + decimals_of(error)
    if decimals > _MOST_DECIMALS:
        return f"{value:.{_MOST_DECIMALS + 1}g} ± {error:.1e}"
    scaled = (round(number / 10.0**power, decimals) for number in (value, error))
    numbers = " ± ".join(f"{number:.{max(decimals, 0)}f}" for number in scaled)
    return f"({numbers})e{power:+03d}" if power else numbers


def decimals_of(error: float) -> int:
    """Decimals that show two digits of an error, after rounding: 9.96 has none, 9.94 has one.

    Examples
    --------
    >>> decimals_of(0.0312), decimals_of(9.94), decimals_of(9.96), decimals_of(4321.0)
    (3, 1, 0, -2)
    """
    return 1 - _exponent(float(f"{error:.1e}"))


def _exponent(number: float) -> int:
    """The power of ten of the first digit."""
    return math.floor(math.log10(number))
