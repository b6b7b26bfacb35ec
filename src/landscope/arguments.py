"""What an argument must be: a whole number, a number, a name, yes or no; or a sentence says so."""

import math
import operator
import reprlib
from collections.abc import Iterable
from numbers import Real
from typing import Any

LARGEST_SEED = 2**62
"""Seeds are counted up from the one that is given, and kept in 64 bits."""

MOST_PROBES = 10**6
"""More random vectors than this are a mistake: the error falls with the square root alone."""


def whole(name: str, value: Any, least: int = 1, most: int | None = None, called: str = "") -> int:
    """Return an argument that counts something.

    Parameters
    ----------
    name : str
        Of the argument, for the error.
    value
        What came: an integer of Python or NumPy, or an array or tensor that holds one.
    least, most : int
        What is accepted; without `most`, any from `least` on.
    called : str
        What `most` is, such as "D".

    Returns
    -------
    int

    Raises
    ------
    ValueError
        For anything else, such as 2.0, True or "2".

    Examples
    --------
    >>> whole("k", 3, 1, 60)
    3
    >>> whole("k", 0.5, 1, 60)
    Traceback (most recent call last):
    ...
    ValueError: k is 0.5; it must be an integer from 1 to 60
    """
    number = number_in(value)
    if number is not None and hasattr(number, "__index__"):
        count = operator.index(number)
        if least <= count and (most is None or count <= most):
            return count
    if most is None:
        bounds = f"of at least {least:,}"
    else:
        last = f"{most:,}" if most < LARGEST_SEED else f"2**{most.bit_length() - 1}"
        bounds = f"from {least:,} to {called}{' = ' if called else ''}{last}"
    raise ValueError(f"{name} is {shown(value)}; it must be an integer {bounds}")


def real(name: str, value: Any, within: str = "(-∞, ∞)") -> float:
    """Return an argument that is a number.

    Parameters
    ----------
    name : str
        Of the argument, for the error.
    value
        What came: a number of Python or NumPy, or an array or tensor that holds one.
    within : str
        The interval that is accepted, such as "(0, 1]".

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For anything else, such as NaN, True or "0.5".

    Examples
    --------
    >>> real("tol", 1e-3, "(0, 1)")
    0.001
    >>> real("tol", "a", "(0, 1)")
    Traceback (most recent call last):
    ...
    ValueError: tol is 'a'; it must be a number in (0, 1)
    """
    low, high = (float(end.replace("∞", "inf")) for end in within[1:-1].split(", "))
    number = number_in(value)
    if number is not None:
        try:
            x = float(number)
        except OverflowError:  # an integer beyond all floats
            x = math.inf
        above = x >= low if within[0] == "[" else x > low
        below = x <= high if within[-1] == "]" else x < high
        if above and below:
            return x
    raise ValueError(f"{name} is {shown(value)}; it must be a number in {within}")


def choice(name: str, value: Any, accepted: Iterable[str]) -> str:
    """Return an argument that is one of some names.

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> choice("which", "LR", ("LA", "SA"))
    Traceback (most recent call last):
    ...
    ValueError: which is 'LR'; it must be one of LA, SA
    """
    known = [str(one) for one in accepted]
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} is {shown(value)}; it must be one of {', '.join(known)}")
    return value


def flag(name: str, value: Any) -> bool:
    """Return an argument that says yes or no.

    Raises
    ------
    ValueError
        For anything but True and False: "no" counts as true in Python.

    Examples
    --------
    >>> flag("exact", "no")
    Traceback (most recent call last):
    ...
    ValueError: exact is 'no'; it must be True or False
    """
    if type(value).__name__ not in ("bool", "bool_"):
        raise ValueError(f"{name} is {shown(value)}; it must be True or False")
    return bool(value)


def seed(value: Any) -> int:
    """Return a seed of random numbers.

    Raises
    ------
    ValueError
        For anything but a whole number from 0 to 2⁶².
    """
    return whole("seed", value, 0, LARGEST_SEED)


def several(name: str, values: Any) -> list[tuple[str, Any]]:
    """Return the items of an argument that holds at least one, each with its name.

    Raises
    ------
    ValueError
        For none, or for what holds nothing.

    Examples
    --------
    >>> several("radii", (0.1, 1))
    [('radii[0]', 0.1), ('radii[1]', 1)]
    """
    held = list(values) if isinstance(values, Iterable) and not isinstance(values, str) else []
    if not held:
        raise ValueError(f"{name} is {shown(values)}; it must hold at least one number")
    return [(f"{name}[{place}]", value) for place, value in enumerate(held)]


def shown(value: Any) -> str:
    """Say in a few characters what came.

    Examples
    --------
    >>> shown(1.5), shown("a" * 1000), shown(object()), shown(10**400)
    ('1.5', "'aaaaaaaaaaaa...aaaaaaaaaaaaa'", 'a object', 'about 2**1328')
    """
    number = number_in(value)
    value = value if number is None else number
    value = str(value) if isinstance(value, str) else value  # a member of an enumeration is one
    if isinstance(value, int) and abs(value) >= 2**128:
        return f"about {'-' if value < 0 else ''}2**{value.bit_length() - 1}"
    if type(value).__module__ == "builtins" and type(value) is not object and not callable(value):
        return " ".join(reprlib.repr(value).split())
    shape = getattr(value, "shape", None)
    of_shape = "" if shape is None else f" of shape {tuple(shape)}"
    return f"a {type(value).__name__}{of_shape}"


def number_in(value: Any) -> Real | None:
    """A number, be it the only one of an array; None for what is none.

    Examples
    --------
    >>> number_in(2), number_in(True), number_in("2")
    (2, None, None)
    """
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    return value if isinstance(value, Real) and not isinstance(value, bool) else None


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(".")
