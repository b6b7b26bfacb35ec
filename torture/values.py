"""Values for arguments, each known to be sensible or senseless."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

Values = st.SearchStrategy[Any]

HUGE = 10**13
"""No count of anything that a computer does one by one is sensible from here on."""


@dataclass(frozen=True)
class Kind:
    """What may come for one argument; between the two lies what nobody can judge.

    Attributes
    ----------
    sensible : strategy
        Must be accepted.
    senseless : strategy
        Must be refused.
    """

    sensible: Values
    senseless: Values

    def optional(self) -> "Kind":
        """The same where None says "not chosen"."""
        senseless = self.senseless.filter(lambda value: value is not None)
        return Kind(self.sensible | st.none(), senseless)


class Stranger:
    """An object that no argument is made for."""


NO_NUMBERS = (
    "a", "", "1", b"1", None, True, 1j, (), [], [1, 2], {}, {"a": 1}, Stranger(), Stranger, len,
    float("nan"), np.array([1, 2]), np.array("a"), torch.zeros(2), torch.eye(2),
)  # fmt: skip

NO_STRINGS = (
    None,
    3,
    0.5,
    True,
    b"a",
    [],
    ["a"],
    {},
    Stranger(),
    "",
    "nonsense",
    "a" * 10_000,
    "\n",
)


def whole(least: int, most: int) -> Kind:
    """Whole numbers from `least` to `most`; none below, none huge, nothing else."""
    numbers = st.integers(least, most)
    fractions = st.sampled_from([0.5, -1.5, 1e308, math.inf, -math.inf, least + 0.5])
    return Kind(
        numbers | numbers.map(np.int64),
        st.sampled_from(NO_NUMBERS) | st.integers(-HUGE, least - 1) | fractions,
    )


def count(least: int, most: int) -> Kind:
    """The same where huge ones ask for more than any computer can do."""
    kind = whole(least, most)
    return Kind(kind.sensible, kind.senseless | st.sampled_from([HUGE, 2**62, 2**70, 10**400]))


def real(low: float, high: float, *, least: float = -math.inf, most: float = math.inf) -> Kind:
    """Numbers from `low` to `high`; none at or beyond `least` and `most`, nothing else."""
    numbers = st.floats(low, high)
    beyond = [math.inf, -math.inf]
    beyond += [least, least - 1, -1e308] if math.isfinite(least) else []
    beyond += [most, most + 1, 1e308] if math.isfinite(most) else []
    return Kind(
        numbers | numbers.map(np.float64), st.sampled_from(NO_NUMBERS) | st.sampled_from(beyond)
    )


def name(*accepted: str) -> Kind:
    """One of some names."""
    return Kind(st.sampled_from(accepted), st.sampled_from(NO_STRINGS))


def flag() -> Kind:
    """Yes or no."""
    return Kind(st.booleans(), st.sampled_from(["no", "", 0, 1, None, [], Stranger(), 0.0]))


def seed() -> Kind:
    """A seed of random numbers."""
    kind = whole(0, 2**31)
    return Kind(kind.sensible, kind.senseless | st.sampled_from([2**63, 2**64, 10**400]))


def given(sensible: list[Any], senseless: list[Any]) -> Kind:
    """One of the values named."""
    return Kind(st.sampled_from(sensible), st.sampled_from(senseless))
