"""How many CPUs this process may use."""

import os


def available_cpus() -> int:
    """Count the CPUs that this process may use; all of the machine where the system cannot say.

    Examples
    --------
    >>> available_cpus() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):  # Linux alone
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
