"""How an experiment tells how far it is."""

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called as progress(done, total, doing)."""


def silent(done: int, total: int, doing: str) -> None:
    """Tell nobody."""
