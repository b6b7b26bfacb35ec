"""Memory of this process: how far it rises while something runs."""

import ctypes
from collections.abc import Callable
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
LIBC = ctypes.CDLL(None)
MMAP_THRESHOLD = -3


def rise(act: Callable[[], object]) -> int:
    """Bytes that the resident size rises above what it is before, at most.

    What is freed goes back to the system at once meanwhile, not to this process's heap.
    """
    LIBC.mallopt(MMAP_THRESHOLD, 2**16)
    LIBC.malloc_trim(0)
    CLEAR.write_text("5")  # the peak starts anew
    before = _kilobytes("VmRSS")
    act()
    peak = _kilobytes("VmHWM")
    LIBC.mallopt(MMAP_THRESHOLD, 2**25)
    return 1024 * (peak - before)


def _kilobytes(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])
