"""How many products to spend on an estimate: so many, or until its error is small enough."""

import math
from typing import Protocol, runtime_checkable

from landscope import arguments as check
from landscope.linalg.estimate import Estimate
from landscope.linalg.product import CountedProduct

FEWEST = 30  # products before an error is looked at: it has enough degrees of freedom by then
MOST = 1_000  # products for an `rtol` where no number is given: as many vectors are held


@runtime_checkable
class Estimator(Protocol):
    """What is grown by products and gives an estimate at any time."""

    product: CountedProduct

    def add(self, count: int) -> None:
        """Spend so many products."""

    def estimate(self) -> Estimate:
        """Give the estimate so far."""

    def exact(self) -> Estimate:
        """Give the exact value, by D products."""


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
        Exact where D products were to be spent. With a larger error than ``rtol`` asks for where
        fewer than D ran out.

    Notes
    -----
    The error is looked at few times, at numbers of products that grow by a half at least: an
    estimate that stops where its error happens to be small is biased, more so the more often it
    looks. Probes are given up for the exact value once they would take D products in all, and
    before, where ``num_probes`` would not leave D products for it afterwards.
    """
    dim = estimator.product.space.dim
    most = num_probes or (FEWEST if rtol is None else MOST)
    wanted = most if rtol is None else min(FEWEST, most)
    left_to_probes = dim - 1 if num_probes is None else min(most - dim, dim - 1)
    spent = 0
    while True:
        if most >= dim and (rtol is None or wanted > left_to_probes):
            return estimator.exact()
        estimator.add(wanted - spent)
        spent, estimate = wanted, estimator.estimate()
        if rtol is None or estimate.stderr <= rtol * abs(estimate) or spent == most:
            return estimate
        growth = (estimate.stderr / (rtol * abs(estimate))) ** 2 if estimate else math.inf
        wanted = min(math.ceil(spent * min(max(growth, 1.5), 2.0)), most)
