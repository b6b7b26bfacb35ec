"""Work that several measurements share: done once, whether it succeeds or fails."""

from collections.abc import Callable, Hashable
from functools import wraps
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def once(work: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Do work once for each of its arguments, and raise its failure to all who ask for it.

    `functools.cache` keeps results alone: what fails after minutes would fail again for the next.

    Parameters
    ----------
    work : callable
        Its positional arguments are hashable.

    Returns
    -------
    callable

    Examples
    --------
    >>> tried = []
    >>> @once
    ... def divide(a, b):
    ...     tried.append((a, b))
    ...     return a / b
    >>> for _ in range(2):
    ...     try:
    ...         divide(1, 0)
    ...     except ZeroDivisionError as failure:
    ...         print(failure)
    division by zero
    division by zero
    >>> tried
    [(1, 0)]
    """
    results: dict[Hashable, _Result] = {}
    failures: dict[Hashable, Exception] = {}

    @wraps(work)
    def asked(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
        key = arguments, tuple(sorted(named.items()))
        if key in failures:
            raise failures[key]
        if key not in results:
            try:
                results[key] = work(*arguments, **named)
            except Exception as failure:
                failures[key] = failure
                raise
        return results[key]

    return asked
