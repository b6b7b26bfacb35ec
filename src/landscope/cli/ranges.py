"""Values of an option that may be swept: one number, a list, or a range."""

import math

import numpy as np

from landscope.arguments import shown

MOST_VALUES = 10_000

FORMS = (
    "a number, a list 1,2,5, or a range START:STOP:COUNT of 2 to 10,000 numbers, with :log for "
    "even ratios"
)


def numbers(name: str, text: str, *, whole: bool = False) -> list[int | float]:
    """Read one or more numbers.

    Parameters
    ----------
    name : str
        Of the option, for the error.
    text : str
        "0.5", "0.5,1,2", "0:4:9" (nine values from 0 to 4) or "0.1:25:20:log".
    whole : bool
        Whether they are to be whole numbers. Those between the ends of a range are rounded, and
        equal ones merged.

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> numbers("sigma_z", "0:1:3"), numbers("num_params", "1e2:1e4:3:log", whole=True)
    ([0.0, 0.5, 1.0], [100, 1000, 10000])
    """
    try:
        values = _range(text, whole) if ":" in text else [float(x) for x in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(map(math.isfinite, values)):
        raise ValueError(f"{name} is {shown(text)}; it must be {FORMS}")
    if not whole:
        return list(values)
    for value in values:
        if not value.is_integer():
            raise ValueError(f"{name} is {value:g}; it must be a whole number")
    return list(map(int, values))


def _range(text: str, whole: bool) -> list[float]:
    start_text, stop_text, count_text, *spacing = text.split(":")
    start, stop, count = float(start_text), float(stop_text), int(count_text)
    if spacing not in ([], ["log"], ["linear"]) or start == stop:
        return []
    if not 2 <= count <= MOST_VALUES or not math.isfinite(stop - start):
        return []
    if spacing == ["log"] and min(start, stop) <= 0:
        return []
    values = (np.geomspace if spacing == ["log"] else np.linspace)(start, stop, count)
    # The ends are as they were given: 0.5 is no whole number.
    inner = (np.round(values) if whole else values)[1:-1].tolist()
    return list(dict.fromkeys([start, *inner, stop]))
