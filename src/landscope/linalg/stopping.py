"""How many products to spend on an estimate: so many, or until its error is small enough."""

import math
from typing import Protocol, runtime_checkable

from landscope import arguments as check
from landscope.linalg.estimate import Estimate

FEWEST = 30  # products before an error is looked at: it has enough degrees of freedom by then
MOST = 1_000  # products for an `rtol` where no number is given: as many vectors are held


@runtime_checkable
class Estimator(Protocol):
    """What is grown by products and gives an estimate at any time."""

    def add(self, count: int) -> None:
        """Spend so many products."""

    def estimate(self) -> Estimate:
        """Give the estimate so far."""


def checked_spending(num_probes: int | None, rtol: float | None, fewest: int) -> int | None:
    """A number of products; refuse too few, and an error that cannot be reached."""
    if rtol is not None:
        check.real("rtol", rtol, "(0, ∞)")
    return None if num_probes is None else check.whole("num_probes", num_probes, fewest)


def spend(estimator: Estimator, num_probes: int | None, rtol: float | None) -> Estimate:
    """Grow an estimator by products.

    Parameters
    ----------
    estimator : Estimator
        What is grown.
    num_probes : int or None
        Products to spend, 30 by default; with ``rtol`` the most, 1000 by default.
    rtol : float or None
        Stop once the standard error is at most so many times the magnitude of the value.

    Returns
    -------
    Estimate
        With a larger error than ``rtol`` asks for where the products ran out.

    Notes
    -----
    The error is looked at few times, at numbers of products that grow by a half at least: an
    estimate that stops where its error happens to be small is biased, more so the more often it
    looks.
    """
    if rtol is None:
        estimator.add(num_probes or FEWEST)
        return estimator.estimate()
    most = num_probes or MOST
    spent = min(FEWEST, most)
    estimator.add(spent)
    estimate = estimator.estimate()
    while estimate.stderr > rtol * abs(estimate) and spent < most:
        growth = (estimate.stderr / (rtol * abs(estimate))) ** 2 if estimate else math.inf
        wanted = min(math.ceil(spent * min(max(growth, 1.5), 2.0)), most)
        estimator.add(wanted - spent)
        spent = wanted
        estimate = estimator.estimate()
    return estimate
