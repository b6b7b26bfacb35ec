"""What tells a function that measures from others, as the configuration of a run holds it."""

from collections.abc import Callable
from functools import partial
from typing import Any

from landscope.identity import digest


def measured_by(function: Callable[..., Any]) -> dict[str, str]:
    """Name and digest of a function: of its code, its bound options and what it encloses.

    Functions of landscope are what their names say, others their source; see
    `landscope.identity.digest`. What a function encloses and training changes (a model, a loader)
    counts by its structure or class alone.

    Examples
    --------
    >>> one, other = (partial(max, default=n) for n in (0, 1))
    >>> measured_by(one)["name"], measured_by(one) == measured_by(other)
    ('max', False)
    """
    named: Any = function
    while isinstance(named, partial):
        named = named.func
    name = getattr(named, "__qualname__", type(named).__qualname__)
    return {"name": name, "code": f"sha256:{digest(function, settled=False)}"}
