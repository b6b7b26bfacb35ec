"""Values of an option that may be swept: one number, a list, or a range."""

import math

import numpy as np

FORMS = "a number, a list 1,2,5, or a range START:STOP:COUNT, with :log for even ratios"


def numbers(name: str, text: str, *, whole: bool = False) -> list[int | float]:
    """Read one or more numbers.

    Parameters
    ----------
    name : str
        Of the option, for the error.
    text : str
        "0.5", "0.5,1,2", "0:4:9" (nine values from 0 to 4) or "0.1:25:20:log".
    whole : bool
        Whether they are to be whole numbers, to which those of a range are rounded; equal ones
        are merged.

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
        raise ValueError(f"{name} is {text!r}; it must be {FORMS}")
    return [int(value) if whole and value.is_integer() else value for value in values]


def _range(text: str, whole: bool) -> list[float]:
    start_text, stop_text, count_text, *spacing = text.split(":")
    start, stop, count = float(start_text), float(stop_text), int(count_text)
    if spacing not in ([], ["log"], ["linear"]) or count < 2 or start == stop:
        return []
    if spacing == ["log"]:
        values = np.geomspace(start, stop, count) if min(start, stop) > 0 else np.array([])
    else:
        values = np.linspace(start, stop, count)
    return list(dict.fromkeys((np.round(values) if whole else values).tolist()))
