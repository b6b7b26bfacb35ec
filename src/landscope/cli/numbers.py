"""Numbers as a table prints them, with their error where they have one."""

import math

from landscope.linalg import decimals_of, plus_minus

_DIGITS = 4


def with_error(value: float, stderr: float = 0.0) -> str:
    """Return `value ± stderr`, rounded to two digits of the error.

    Parameters
    ----------
    value : float
        Estimate, or exact value.
    stderr : float
        Standard error; zero or NaN for none, and then four digits are given.

    Returns
    -------
    str

    Examples
    --------
    >>> with_error(1234.5678, 3.21), with_error(0.0123456, 0.0004), with_error(2.0)
    ('1234.6 ± 3.2', '0.01235 ± 0.00040', '2')
    """
    if not _has_error(value, stderr):
        return _plain(value)
    return plus_minus(value, stderr)


def with_error_in_brackets(value: float, stderr: float = 0.0) -> str:
    """Return the value with the error of its last digits in brackets, where columns are narrow.

    Examples
    --------
    >>> with_error_in_brackets(4.1234, 0.0312), with_error_in_brackets(52.1, 13.0)
    ('4.12(3)', '52(13)')
    """
    if not _has_error(value, stderr):
        return _plain(value)
    decimals = max(0, decimals_of(stderr) - 1)
    if decimals > 6:
        return _plain(value)
    in_last_digits = round(stderr * 10**decimals)
    return f"{value:.{decimals}f}({in_last_digits})"


def _has_error(value: float, stderr: float) -> bool:
    return math.isfinite(value) and math.isfinite(stderr) and stderr > 0


def _plain(value: float) -> str:
    return f"{value:.{_DIGITS}g}" if math.isfinite(value) else "–"
