"""Strict JSON files, written atomically."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from landscope.runs.atomic import appearing


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


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object atomically, replacing what was there."""
    text = json.dumps(plain(content), indent=2, allow_nan=False, ensure_ascii=False)
    with appearing(path) as beside:
        beside.write_text(text + "\n", encoding="utf-8")
