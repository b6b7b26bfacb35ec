"""Where two configurations differ, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

_ABSENT = object()


def differences(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Name every key in which two nested configurations differ, with both values.

    Parameters
    ----------
    stored, asked
        Nested mappings; nested keys are joined by dots.

    Returns
    -------
    list of str
        One phrase for each difference; empty where the two are equal.

    Examples
    --------
    >>> differences({"seed": 0, "measure": {"k": 5}}, {"seed": 0, "measure": {"k": 7}})
    ['measure.k is 5 there and 7 here']
    """
    there, here = dict(_leaves(stored)), dict(_leaves(asked))
    pairs = {key: (there.get(key, _ABSENT), here.get(key, _ABSENT)) for key in there | here}
    return [
        f"{key} is {_shown(old)} there and {_shown(new)} here"
        for key, (old, new) in pairs.items()
        if old != new
    ]


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(value: Any) -> str:
    return "absent" if value is _ABSENT else repr(value)
