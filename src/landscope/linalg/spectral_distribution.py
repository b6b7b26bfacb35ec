"""The distribution function of a spectrum, from random probes, with errors that cover it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from landscope.linalg.bounded_estimate import BoundedEstimate
from landscope.linalg.distribution_bounds import distribution_bounds
from landscope.linalg.estimate import Estimate
from landscope.linalg.probe_shares import ROUNDING, ProbeShares
from landscope.linalg.quadrature import Quadrature, converged

ONE_SIGMA = math.erf(0.5**0.5)
"""Share of a Gaussian within one standard deviation."""

PARTS, ROUNDS = 8, 2
"""Of a search: parts that an interval is split into, and how often one between two nodes is."""


class Atom(NamedTuple):
    """Eigenvalues that Lanczos cannot tell apart: a multiple one, as far as rounding lets it see.

    Attributes
    ----------
    location : float
        Where they lie.
    error : float
        How far from there at the most.
    share : Estimate
        Their share of the spectrum; times D it is their number.
    """

    location: float
    error: float
    share: Estimate


class _Counts(NamedTuple):
    """Numbers of eigenvalues in p intervals as n probes see them: known, and d times a share."""

    known_low: Float64[np.ndarray, "n p"]
    known_high: Float64[np.ndarray, "n p"]
    low: Float64[np.ndarray, " p"]
    high: Float64[np.ndarray, " p"]

    @property
    def middle(self) -> Float64[np.ndarray, " p"]:
        return (self.low + self.high) / 2


@dataclass(frozen=True)
class SpectralDistribution:
    """What random probes tell of the shares of eigenvalues, each with two kinds of error.

    Of each probe's own spectral measure, m Lanczos steps leave something open: the bounds of
    `distribution_bounds`. How the measures of probes differ from the spectrum is the sampling error
    of `ProbeShares`. An interval at a level takes the lower bound of the measures, less their
    sampling error at half of the level's complement, and the upper bound likewise.

    Attributes
    ----------
    probes : tuple of Quadrature
        Of one probe each; nodes that are not sampled are eigenvalues. A single one without a
        sampled node where the whole spectrum is known.
    known : Quadrature
        Eigenvalues that probes are orthogonal to.
    dim : int
        Number D of eigenvalues.
    rounding : float
        Of an eigenvalue: two that are this close count as one.
    precision : float
        Relative precision of the vectors.
    psd : bool
        Whether no eigenvalue is negative.
    num_products : int
        Products with A.
    """

    probes: tuple[Quadrature, ...]
    known: Quadrature
    dim: int
    rounding: float
    precision: float
    psd: bool
    num_products: int

    def bounds(
        self, x: Float64[Tensor, " p"], level: float
    ) -> tuple[Float64[Tensor, " p"], Float64[Tensor, " p"]]:
        """Bound the share of eigenvalues up to each of some points, in a confidence interval."""
        beyond = torch.full_like(x, -math.inf)
        low, high = self._accepted(self._counts(beyond, x + self.rounding), level)
        return torch.from_numpy(low / self.dim), torch.from_numpy(high / self.dim)

    def mass(self, a: float, b: float) -> BoundedEstimate:
        """Estimate the share of eigenvalues in [a, b]."""
        counts = self._between(a, b)
        half = (counts.high - counts.low).item() / 2
        deviation = self._shares.variance(counts.middle, counts.known_low).item() ** 0.5
        return BoundedEstimate(
            counts.middle.item() / self.dim,
            (deviation + half) / self.dim,
            partial(self._mass_between, a, b),
            self.num_products,
        )

    def quantile(self, q: float) -> BoundedEstimate:
        """Estimate the least eigenvalue up to which there is the share q."""
        wanted = max(1, math.ceil(q * self.dim * (1 - 1e-12)))  # of D in ascending order

        def reached(x: Float64[Tensor, " p"]) -> np.ndarray:
            return self._up_to(x).middle >= q * self.dim * (1 - ROUNDING)

        value = self._first_point(reached)[1]
        low, high = self._order_statistic(wanted, ONE_SIGMA)
        return BoundedEstimate(
            min(max(value, low), high),
            (high - low) / 2,
            partial(self._order_statistic, wanted),
            self.num_products,
        )

    def atoms(self) -> list[Atom]:
        """Find eigenvalues that have converged and are certainly more than one, ascending.

        Each is reported wrongly with a probability of at most 1 %/D.
        """
        places, errors = self._converged()
        if len(places) == 0:
            return []
        error = max(errors.max().item(), self.rounding)
        clusters = np.split(places.numpy(), np.flatnonzero(np.diff(places) > 2 * error) + 1)
        middles = np.array([np.median(cluster) for cluster in clusters])
        ends = np.array([[cluster[0], cluster[-1]] for cluster in clusters])
        reaches = np.abs(ends - middles[:, None]).max(1) + error
        within = reaches + self.rounding
        around = (torch.from_numpy(end) for end in (middles - within, middles + within))
        fewest, _ = self._accepted(self._counts(*around), 1 - 0.01 / self.dim)
        return [
            Atom(middle, reach, self.mass(middle - reach, middle + reach))
            for middle, reach, count in zip(middles.tolist(), reaches.tolist(), fewest, strict=True)
            if count > 1
        ]

    def _converged(self) -> tuple[Float64[Tensor, " c"], Float64[Tensor, " c"]]:
        """Eigenvalues that were found, ascending, and how far off they may be."""
        places, errors = [self.known.nodes], [self.known.border]
        for probe in self.probes:
            if len(probe.nodes) == 0:  # the whole spectrum is known
                continue
            found, angles = converged(probe, self.precision)
            found = found | ~probe.sampled
            off = torch.where(probe.sampled, probe.border.abs() * angles, probe.border)
            places.append(probe.nodes[found])
            errors.append(off[found])
        every, order = torch.cat(places).sort()
        return every, torch.cat(errors)[order]

    def _mass_between(self, a: float, b: float, level: float) -> tuple[float, float]:
        low, high = self._accepted(self._between(a, b), level)
        return low.item() / self.dim, high.item() / self.dim

    def _order_statistic(self, wanted: int, level: float) -> tuple[float, float]:
        """Where the eigenvalue with so many below it and itself lies, at a level."""
        tail = (1 - level) / 2

        def too_many(x: Float64[Tensor, " p"]) -> np.ndarray:  # for fewer than wanted
            counts, fewer = self._up_to(x), np.full(len(x), wanted - 1.0)
            more = counts.known_low.max(0) >= wanted
            return more | (self._shares.above(counts.low, fewer, counts.known_low) <= tail)

        def enough(x: Float64[Tensor, " p"]) -> np.ndarray:  # for as many as wanted
            counts, count = self._up_to(x), np.full(len(x), float(wanted))
            fewer = (counts.known_high + self._shares.dims[:, None]).min(0) < wanted
            return ~fewer & (self._shares.below(counts.high, count, counts.known_high) > tail)

        low = self._first_point(enough)[0] - self.rounding
        high = self._first_point(too_many)[1] + self.rounding
        # What is rejected by chance may be certain by the range: then the truth is between.
        low, high = min(low, high), max(low, high)
        return (max(low, 0.0), max(high, 0.0)) if self.psd else (low, high)

    def _first_point(
        self, holds: Callable[[Float64[Tensor, " p"]], np.ndarray]
    ) -> tuple[float, float]:
        """Two near points between which a condition comes to hold, at a node or between two."""
        nodes = torch.cat([self.known.nodes, *(probe.nodes for probe in self.probes)])
        beyond = (nodes.abs().max().item() or 1.0) * torch.logspace(-6, 6, 25, dtype=torch.float64)
        places = torch.cat([nodes.min() - beyond, nodes, nodes.max() + beyond]).sort().values
        from_the_first, at_the_last = holds(places[[0, -1]])
        if from_the_first:
            return -math.inf, -math.inf
        if not at_the_last:
            return math.inf, math.inf
        first, last = 0, len(places) - 1
        while last - first > 1:
            tried = torch.linspace(first, last, PARTS + 1).round().long()
            step = int(np.argmax([*holds(places[tried[1:-1]]), True]))
            first, last = tried[step : step + 2].tolist()
        low, high = places[first].item(), places[last].item()
        if not holds(places[last : last + 1] - self.rounding)[0]:
            return high, high
        for _ in range(ROUNDS):
            between = torch.linspace(low, high, PARTS + 1, dtype=torch.float64)
            step = int(np.argmax([*holds(between[1:-1]), True]))
            low, high = between[step : step + 2].tolist()
        return low, high

    def _accepted(
        self, counts: _Counts, level: float
    ) -> tuple[Int64[np.ndarray, " p"], Int64[np.ndarray, " p"]]:
        """Least and largest number of eigenvalues that a level does not reject."""
        tail = (1 - level) / 2
        low = self._shares.fewest(counts.low, counts.known_low, tail)
        high = self._shares.most(counts.high, counts.known_high, tail)
        # Many probes may reject every whole number: then the truth is next to what they see.
        return np.minimum(low, high), np.maximum(low, high)

    def _up_to(self, x: Float64[Tensor, " p"]) -> _Counts:
        return self._counts(torch.full_like(x, -math.inf), x)

    def _between(self, a: float, b: float) -> _Counts:
        ends = torch.tensor([a - self.rounding, b + self.rounding], dtype=torch.float64)
        return self._counts(*ends.split(1))

    def _counts(self, a: Float64[Tensor, " p"], b: Float64[Tensor, " p"]) -> _Counts:
        """Count the eigenvalues in intervals [a, b]."""
        known = [self._known_between(part, a, b) for part in self._eigenvalues]
        known_low, known_high = (np.stack(part) for part in zip(*known, strict=True))
        before, up_to = self._share(a), self._share(b)
        low = np.maximum(up_to[0] - before[1], 0)
        high = np.maximum(up_to[1] - before[0], 0)
        low, high = np.where(low < ROUNDING, 0, low), np.where(high > 1 - ROUNDING, 1, high)
        low, high = np.where(low > 1 - ROUNDING, 1, low), np.where(high < ROUNDING, 0, high)
        dims = self._shares.dims[:, None]
        return _Counts(
            known_low,
            known_high,
            (known_low + dims * low).mean(0),
            (known_high + dims * high).mean(0),
        )

    def _known_between(
        self,
        eigenvalues: tuple[Float64[Tensor, " k"], Float64[Tensor, " k"]],
        a: Float64[Tensor, " p"],
        b: Float64[Tensor, " p"],
    ) -> tuple[Float64[np.ndarray, " p"], Float64[np.ndarray, " p"]]:
        """How many known eigenvalues lie between certainly, and how many may."""
        values, errors = eigenvalues
        if len(values) == 0:
            return np.zeros(len(a)), np.zeros(len(a))
        left, right = values - errors, values + errors
        a, b = a[:, None], b[:, None]
        inside, near = (left >= a) & (right <= b), (right >= a) & (left <= b)
        return inside.sum(1).double().numpy(), near.sum(1).double().numpy()

    def _share(self, x: Float64[Tensor, " p"]) -> tuple[np.ndarray, np.ndarray]:
        """Bounds on the share of each probe's measure up to x, without its known eigenvalues."""
        nodes, weights, border = self._padded
        low = torch.zeros(len(nodes), len(x), dtype=torch.float64)
        low[:, x == math.inf] = 1
        high = low.clone()
        inside = x.isfinite() & (x >= 0) if self.psd else x.isfinite()
        if nodes.numel() and inside.any():
            bounds = partial(distribution_bounds, nodes=nodes, weights=weights, border=border)
            low[:, inside], high[:, inside] = bounds(x[inside] - self._shift)
            if self._shift:
                high[:, inside] = bounds(x[inside] + self._shift)[1]
        return low.numpy(), high.numpy()

    @cached_property
    def _padded(self) -> tuple[Float64[Tensor, "n m"], ...]:
        """Nodes, weights that add up to 1, and border of what is sampled, one row per probe."""
        columns = []
        for name in ("nodes", "weights", "border"):
            rows = [getattr(probe, name)[probe.sampled] for probe in self.probes]
            columns.append(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True))
        nodes, weights, border = columns
        return nodes, weights / weights.sum(1, keepdim=True), border

    @cached_property
    def _eigenvalues(self) -> list[tuple[Float64[Tensor, " k"], Float64[Tensor, " k"]]]:
        """Eigenvalues that each probe knows, and their errors."""
        return [
            (
                torch.cat([self.known.nodes, probe.nodes[~probe.sampled]]),
                torch.cat([self.known.border, probe.border[~probe.sampled]]),
            )
            for probe in self.probes
        ]

    @cached_property
    def _shares(self) -> ProbeShares:
        known = [len(values) for values, _ in self._eigenvalues]
        return ProbeShares(self.dim - np.array(known, dtype=float), self.dim)

    @cached_property
    def _shift(self) -> float:
        """How far deflation with inexact eigenvectors may have moved other eigenvalues.

        With the residuals R of the eigenvectors and the distance η between the known eigenvalues
        and all others, it is 2‖R‖²/(η + √(η² + 4‖R‖²)) at the most (Li & Li 2005).
        """
        nodes = self._padded[0]
        if len(self.known.nodes) == 0 or nodes.numel() == 0:
            return 0.0
        residual = math.hypot(*self.known.border.tolist())
        apart = (nodes[..., None] - self.known.nodes).abs().min().item()
        return 2 * residual * (residual / (apart + math.hypot(apart, 2 * residual) or 1.0))
