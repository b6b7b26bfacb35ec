"""Memory of this process: how far it rises while something runs."""

import ctypes
from collections.abc import Callable
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
LIBC = ctypes.CDLL(None)
MMAP_THRESHOLD = -3


def give_back_at_once() -> None:
    """Let what is freed of 64 kB and more go back to the system, not to this process's heap."""
    LIBC.mallopt(MMAP_THRESHOLD, 2**16)


def rise(act: Callable[[], object]) -> int:
    """Bytes that the resident size rises above what it is before, at most."""
    LIBC.malloc_trim(0)
    CLEAR.write_text("5")  # the peak starts anew
    before = _kilobytes("VmRSS")
    act()
    return 1024 * (_kilobytes("VmHWM") - before)


def _kilobytes(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])
