"""Sizes that do not fit are refused with the number of bytes, before anything is allocated."""

import psutil


def refuse_beyond_memory(num_bytes: int | float, what: str) -> None:
    """Refuse what takes more memory than is free.

    Raises
    ------
    MemoryError
        With both numbers.
    """
    free = psutil.virtual_memory().available
    if num_bytes > free:
        raise MemoryError(
            f"{what} takes {num_bytes / 1e9:.3g} GB of memory, and {free / 1e9:.3g} GB are free"
        )
