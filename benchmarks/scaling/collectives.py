"""What collectives cost: how often they are called, on how much, and how long that takes."""

from dataclasses import astuple, dataclass

from benchmarks.scaling.machine import Machine


@dataclass(frozen=True)
class Traffic:
    """Collectives of one rank.

    Attributes
    ----------
    calls : float
        How many.
    payload : float
        Bytes of the whole vectors that they sum or gather.
    sent : float
        Bytes that a rank sends, around a ring.
    rounds : float
        How often something goes around the ring.
    """

    calls: float = 0.0
    payload: float = 0.0
    sent: float = 0.0
    rounds: float = 0.0

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(*(x + y for x, y in zip(astuple(self), astuple(other), strict=True)))

    def __rmul__(self, times: float) -> "Traffic":
        return Traffic(*(times * x for x in astuple(self)))

    def in_messages(self, count: int) -> "Traffic":
        """The same bytes in so many times as many collectives."""
        return Traffic(count * self.calls, self.payload, self.sent, count * self.rounds)

    def seconds(self, machine: Machine, ranks: int) -> float:
        """Bytes over the slowest link, and the ring's latency for each round."""
        return self.sent / machine.link(ranks) + self.rounds * machine.ring_latency(ranks)


NOTHING = Traffic()


def all_gather(payload: float, ranks: int) -> Traffic:
    """Everybody gets the whole of which each has a part: (R − 1)/R of it pass each rank."""
    return _around(payload, ranks, times=1)


def reduce_scatter(payload: float, ranks: int) -> Traffic:
    """Everybody gets a part of the sum of wholes: the same around the ring."""
    return _around(payload, ranks, times=1)


def all_reduce(payload: float, ranks: int) -> Traffic:
    """Everybody gets the sum: a reduce-scatter and an all-gather, 2(R − 1)/R, in one call."""
    return _around(payload, ranks, times=2)


def broadcast(payload: float, ranks: int) -> Traffic:
    """Everybody gets what one has, passed on in pieces along the ring."""
    return _around(payload, ranks, times=1)


def _around(payload: float, ranks: int, times: int) -> Traffic:
    if ranks == 1:
        return NOTHING
    return Traffic(1, payload, times * payload * (ranks - 1) / ranks, times)
