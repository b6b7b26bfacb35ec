"""A claim of the paper, or of the theory, and what was found."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, SupportsFloat

Verdict = Literal["holds", "holds in part", "does not hold"]


@dataclass(frozen=True)
class Claim:
    """One claim held against numbers.

    Attributes
    ----------
    statement : str
        What is claimed, and by whom.
    verdict : {"holds", "holds in part", "does not hold"}
        Whether the numbers bear it out.
    measured : str
        The numbers.
    """

    statement: str
    verdict: Verdict
    measured: str


def verdict(holds: bool, in_part: bool = False) -> Verdict:
    """Name the outcome of a comparison.

    Examples
    --------
    >>> verdict(True), verdict(False, in_part=True), verdict(False)
    ('holds', 'holds in part', 'does not hold')
    """
    return "holds" if holds else "holds in part" if in_part else "does not hold"


def course(values: Iterable[SupportsFloat], form: str) -> str:
    """Say how a number changes, each value in the given format.

    Examples
    --------
    >>> course([0.25, 12.0], ".2g")
    '0.25 → 12'
    """
    return " → ".join(f"{float(value):{form}}" for value in values)
