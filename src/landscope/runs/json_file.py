"""Strict JSON files, written atomically."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from landscope.runs.seal import RUN_ID, DamagedFileError
from landscope.system.atomic import appearing

_CHECKSUM = "sha256"


def plain(value: Any) -> Any:
    """Give `value` as JSON can hold it: tuples as lists, NumPy's numbers as Python's, NaN as null.

    Raises
    ------
    TypeError
        If something in `value` has no JSON form.

    Examples
    --------
    >>> import numpy as np
    >>> plain({"steps": (0, np.int64(10)), "loss": float("nan")})
    {'steps': [0, 10], 'loss': None}
    """
    match value:
        case None | bool() | str():
            return value
        case np.generic() | np.ndarray():
            return plain(value.tolist())
        case int():
            return int(value)
        case float():
            return float(value) if math.isfinite(value) else None
        case Path():
            return str(value)
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
    raise TypeError(
        f"{value!r} is a {type(value).__name__}, which JSON cannot hold; "
        "accepted are numbers, strings, booleans, None, lists and dicts of these"
    )


def read_json(path: Path, remedy: str, run_id: str | None = None) -> dict[str, Any]:
    """Read a JSON object.

    Parameters
    ----------
    path
        The file. Where it has a checksum, as `write_json` adds it, its content is compared with it.
    remedy
        What to do about a damaged file, for the error.
    run_id
        Of the run that it was written for, if any.

    Raises
    ------
    DamagedFileError
        If it is damaged, written for another run, no JSON object, or no file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}, no mapping")
        sha256 = content.pop(_CHECKSUM, None)
        if sha256 is None and RUN_ID in content:  # as the configuration of a run has it
            raise ValueError("it ends without its checksum")
        if sha256 is not None and sha256 != _digest(content, run_id):
            raise ValueError("it does not hold what was written there, or is of another run")
    except (OSError, ValueError, RecursionError) as error:
        reason = "it is a folder" if path.is_dir() else _in_short(error)
        raise DamagedFileError(f"{path} is damaged: {reason}; {remedy}") from error
    return content


def write_json(path: Path, content: Mapping[str, Any], run_id: str | None = None) -> None:
    """Write a JSON object and its checksum atomically, replacing what was there.

    The checksum is one of the content and of the run that it is written for.
    """
    content = plain(content)
    summed = {**content, _CHECKSUM: _digest(content, run_id)}
    text = json.dumps(summed, indent=2, allow_nan=False, ensure_ascii=False)
    with appearing(path) as beside:
        beside.write_text(text + "\n", encoding="utf-8", newline="\n")


def _digest(content: Mapping[str, Any], run_id: str | None) -> str:
    text = json.dumps([content, run_id] if run_id else content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _in_short(error: Exception) -> str:
    match error:
        case json.JSONDecodeError():
            return f"line {error.lineno} is no JSON ({error.msg})"
        case UnicodeDecodeError():
            return "it is no UTF-8 text"
        case RecursionError():
            return "it is nested too deeply"
        case OSError():
            return error.strerror or str(error)
    return str(error)
