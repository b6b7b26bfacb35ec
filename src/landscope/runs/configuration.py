"""Where two configurations differ, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

_ABSENT = object()
MOST_TOLD = 4
"""Differences that a sentence names."""


def differences(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Name every key in which two nested configurations differ, with both values.

    Parameters
    ----------
    stored, asked
        Nested mappings; nested keys are joined by dots.

    Returns
    -------
    list of str
        One phrase for each difference; empty where the two are equal. Of digests it says only that
        they differ.

    Examples
    --------
    >>> differences({"seed": 0, "measure": {"k": 5}}, {"seed": 0, "measure": {"k": 7}})
    ['measure.k is 5 there and 7 here']
    """
    there, here = dict(_leaves(stored)), dict(_leaves(asked))
    pairs = {key: (there.get(key, _ABSENT), here.get(key, _ABSENT)) for key in there | here}
    return [
        f"{key} differs"
        if _is_digest(old) and _is_digest(new)
        else f"{key} is {_shown(old)} there and {_shown(new)} here"
        for key, (old, new) in pairs.items()
        if old != new
    ]


def reason_to_refuse(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> str | None:
    """Say why a run with one configuration is not what another one asks for.

    Returns
    -------
    str or None
        The end of a sentence that begins with the run; None where it is the same.

    Examples
    --------
    >>> there, here = ({"seed": 0, "problem": {"data": f"sha256:{n}"}} for n in "ab")
    >>> reason_to_refuse(there, here)
    'belongs to another problem: its data differs; name another folder'
    >>> reason_to_refuse({"seed": 0}, here)
    'was written before runs kept what tells their problem from others; name another folder'
    """
    if "problem" in asked and "problem" not in stored:
        return (
            "was written before runs kept what tells their problem from others; name another folder"
        )
    there, here = dict(_leaves(stored)), dict(_leaves(asked))
    parts = [
        key.removeprefix("problem.")
        for key in here
        if key.startswith("problem.") and there.get(key, _ABSENT) != here[key]
    ]
    if parts:
        return f"belongs to another problem: its {_listed(parts)}; name another folder"
    said = differences(stored, asked)
    if not said:
        return None
    if len(said) > MOST_TOLD:
        said = [*said[:MOST_TOLD], f"and {len(said) - MOST_TOLD} more"]
    return (
        f"has another configuration: {', '.join(said)}; name another folder or repeat the run's "
        "own configuration"
    )


def _listed(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last} differ" if others else f"{last} differs"


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("sha256:")


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(value: Any) -> str:
    return "absent" if value is _ABSENT else repr(value)
