"""How much of the time of a training loop is spent measuring, and whether more can be afforded."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from landscope.arguments import real


class OverheadWarning(UserWarning):
    """Scheduled measurements were left out to keep within the share of time they may take."""


class Overhead:
    """The share of time that measuring takes, kept below a limit.

    Parameters
    ----------
    most
        Largest share of all time since the start, in (0, 1); None for no limit.
    clock
        Gives the time in seconds.

    Raises
    ------
    ValueError
        If `most` is no share.

    Notes
    -----
    With s seconds spent on measurements of which the last took c, and t in all, another one is
    affordable if s + c ≤ most·(t + c): then the share is within the limit when it ends, and
    training on only lowers it. What the first one costs is not known beforehand: it is always
    affordable, and training pays for it before the second.

    Examples
    --------
    >>> now = iter([0.0, 0.0, 1.0, 5.0, 25.0])
    >>> overhead = Overhead(0.1, clock=lambda: next(now))
    >>> with overhead.measuring():  # from 0 to 1
    ...     pass
    >>> overhead.affordable(), overhead.affordable()  # at 5: 2 of 6 seconds; at 25: 2 of 26
    (False, True)
    """

    def __init__(
        self, most: float | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.most = None if most is None else real("max_overhead", most, "(0, 1)")
        self.spent = 0.0
        self._clock = clock
        self._start = clock()
        self._last = 0.0

    @property
    def share(self) -> float:
        """Time spent measuring over all time since the start."""
        return self.spent / max(self._clock() - self._start, self.spent, 1e-9)

    def affordable(self) -> bool:
        """Tell whether one more measurement would keep the share within the limit."""
        if self.most is None or not self.spent:
            return True
        elapsed = self._clock() - self._start
        return self.spent + self._last <= self.most * (elapsed + self._last)

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Count the time within as spent measuring."""
        start = self._clock()
        try:
            yield
        finally:
            self._last = self._clock() - start
            self.spent += self._last
