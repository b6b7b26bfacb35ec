"""Reports without pictures: to draw them takes longer than all else that a small run does."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import xarray as xr

from landscope import figures
from landscope.system.atomic import appearing

_WRITERS = ("write_report", "write_experiment_report", "write_sweep_report", "write_overview")


def plain_reports() -> AbstractContextManager[Any]:
    """Let commands write reports of one line in this block."""
    return patch.multiple(figures, **dict.fromkeys(_WRITERS, _write_one_line))


def _write_one_line(_: xr.Dataset, path: Path, *__: Any, **___: Any) -> Path:
    with appearing(path) as beside:
        beside.write_text("<html></html>", encoding="utf-8")
    return path
