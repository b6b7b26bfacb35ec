"""Where something was measured."""

import datetime
import os
import platform
from pathlib import Path

import torch


def setting(quick: bool, device: str, versions: dict[str, str]) -> dict:
    """Of a run: how large it was, where, and the versions of what was measured."""
    return {
        "quick": quick,
        "date": datetime.date.today().isoformat(),
        "machine": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "python": platform.python_version(),
        "versions": versions,
    }


def _processor() -> str:
    """The processor's model, not this machine's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(x.split(":")[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()
