"""The intrinsic dimension: how many random dimensions reach a share of what all weights reach."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from landscope import arguments as check
from landscope import geometry
from landscope.hyperplanes import AffineHyperplane, BasisKind, random_kind
from landscope.linalg import Estimate
from landscope.problem import Problem, checked_problem
from landscope.problem.checks import check_one_process
from landscope.runs import Run
from landscope.training.adam_descent import AdamDescent
from landscope.training.goldilocks import MOST_HYPERPLANES
from landscope.training.measured_by import measured_by

Progress = Callable[[int, int, str], None]
Score = Callable[[Problem], float]


@dataclass(frozen=True)
class IntrinsicDimension:
    """Scores of training in random hyperplanes, and the dimension where they cross a threshold.

    Attributes
    ----------
    dims : array of int, shape (m,)
        Dimensions d, ascending.
    scores : array, shape (m, seeds)
        What training reaches in d dimensions, of one hyperplane for each seed.
    full_scores : array, shape (seeds,)
        What training of all weights reaches.
    threshold : float
        Share of the mean full score that counts as reached.
    num_params : int
        D.
    """

    dims: np.ndarray
    scores: np.ndarray
    full_scores: np.ndarray
    threshold: float
    num_params: int

    @property
    def level(self) -> float:
        """The score that counts as reached."""
        return float(self.threshold * np.mean(self.full_scores))

    @property
    def per_seed(self) -> np.ndarray:
        """Dimension at which the scores of each seed cross the level; infinite where none does."""
        return np.array([crossing(self.dims, one, self.level) for one in self.scores.T])

    @property
    def dimension(self) -> float:
        """Geometric mean over seeds; infinite where a seed does not reach the level."""
        return float(np.exp(np.mean(np.log(self.per_seed))))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Student t interval of the mean of ln d over seeds.

        NaN with a single seed; infinite above where a seed does not reach the level.
        """
        logs = np.log(self.per_seed)
        reached = logs[np.isfinite(logs)]
        if len(logs) < 2:
            return math.nan, math.nan
        if len(reached) < len(logs):
            return float(np.exp(reached.min())) if len(reached) else math.inf, math.inf
        mean = Estimate(logs.mean(), logs.std(ddof=1) / len(logs) ** 0.5, len(logs) - 1)
        low, high = mean.interval(level)
        return math.exp(low), math.exp(high)

    def to_dataset(self) -> xr.Dataset:
        """All of it along (dim, seed), with the interval of 95 %."""
        low, high = self.interval()
        return xr.Dataset(
            {
                "score": (("dim", "seed"), self.scores),
                "full_score": ("seed", self.full_scores),
                "dimension_of_seed": ("seed", self.per_seed),
                "dimension": self.dimension,
                "dimension_low": low,
                "dimension_high": high,
            },
            coords={"dim": self.dims},
            attrs={"threshold": self.threshold, "num_params": self.num_params},
        )

    def __repr__(self) -> str:
        return (
            f"IntrinsicDimension({said_crossing(self.dimension, *self.interval())}, of "
            f"{self.num_params:,}; {self.threshold:.0%} of {np.mean(self.full_scores):.3f})"
        )


def said_crossing(at: float, low: float, high: float) -> str:
    """Say where the level is crossed, with the interval as far as there is one.

    Examples
    --------
    >>> said_crossing(30.2, 21.0, 44.4), said_crossing(30.2, math.nan, math.nan)
    ('30, between 21 and 44', '30, of one seed')
    >>> said_crossing(math.inf, 21.0, math.inf), said_crossing(math.inf, math.nan, math.nan)
    ('not reached by every seed, at least 21', 'not reached')
    """
    if math.isfinite(at):
        error = "of one seed" if math.isnan(low) else f"between {low:.0f} and {high:.0f}"
        return f"{at:.0f}, {error}"
    return f"not reached by every seed, at least {low:.0f}" if math.isfinite(low) else "not reached"


def crossing(dims: Sequence[int] | np.ndarray, scores: np.ndarray, level: float) -> float:
    """Dimension at which scores first reach a level, between measured ones linear in ln d.

    Examples
    --------
    >>> crossing([10, 100], np.array([0.5, 0.9]), 0.7)
    31.62...
    >>> crossing([10, 100], np.array([0.8, 0.9]), 0.7), crossing([10], np.array([0.5]), 0.7)
    (10.0, inf)
    """
    reached = np.flatnonzero(scores >= level)
    if not len(reached):
        return math.inf
    at = int(reached[0])
    if at == 0:
        return float(dims[0])
    share = (level - scores[at - 1]) / (scores[at] - scores[at - 1])
    below, above = math.log(dims[at - 1]), math.log(dims[at])
    return math.exp(below + share * (above - below))


def accuracy(problem: Problem) -> float:
    """Share of examples whose largest logit is that of the true class."""
    return geometry.accuracy(problem).value


def intrinsic_dimension(
    problem: Problem,
    dims: Sequence[int] | None = None,
    *,
    test: Problem | None = None,
    threshold: float = 0.9,
    num_seeds: int = 3,
    kind: BasisKind | str = BasisKind.FASTFOOD,
    descent: AdamDescent | None = None,
    score: Score = accuracy,
    seed: int = 0,
    run: str | Path | None = None,
    progress: Progress | None = None,
) -> IntrinsicDimension:
    """Measure in how many random dimensions a problem can be solved.

    Parameters
    ----------
    problem : Problem
        The model at its initial weights, with the training data.
    dims : sequence of int, optional
        Dimensions d to train in; powers of two from 8 up to the first at which all seeds reach the
        threshold, if absent.
    test : Problem, optional
        The same model on the data that are scored; the training data if absent.
    threshold : float
        Share of the score of full training that counts as solved.
    num_seeds : int
        Hyperplanes for each d, and full trainings; each has mini-batches of its own.
    kind : BasisKind or str
        Of the hyperplanes' bases.
    descent : AdamDescent, optional
        How to train.
    score : callable
        Problem → number, the larger the better; the accuracy if absent.
    seed : int
        The first one.
    run : path, optional
        A run folder that keeps each training, so that the same call goes on where it was stopped; a
        call with another problem, test problem, score or other choices is refused, but for `dims`
        and `threshold`, which may change.
    progress : callable, optional
        Called as progress(done, total, doing); the total is a guess where `dims` are absent.

    Returns
    -------
    IntrinsicDimension
        With ``.dimension``, ``.interval(0.95)`` over seeds and ``.per_seed``.

    Raises
    ------
    ValueError
        For dimensions outside 1 to D, a threshold outside (0, 1], a test problem of another model.

    Notes
    -----
    C. Li, H. Farkhoor, R. Liu and J. Yosinski, "Measuring the intrinsic dimension of objective
    landscapes" (2018), arXiv:1804.08838: 750 for a network 784–200–200–10 on MNIST. All seeds start
    from the problem's own weights. Short training raises the dimension.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(100, 5)
    >>> net = torch.nn.Sequential(torch.nn.Linear(5, 10), torch.nn.Tanh(), torch.nn.Linear(10, 2))
    >>> problem = ls.Problem(net, (x, (x[:, 0] > 0).long()))
    >>> quick = ls.AdamDescent(steps=30)
    >>> found = ls.intrinsic_dimension(problem, [2, 16], num_seeds=2, descent=quick)
    >>> bool(found.dimension <= 16)
    True
    """
    descent = AdamDescent() if descent is None else descent
    test = problem if test is None else test
    check_one_process(checked_problem(problem).ranks, "intrinsic_dimension")
    D = problem.num_params
    threshold = check.real("threshold", threshold, "(0, 1]")
    num_seeds = check.whole("num_seeds", num_seeds, 1, MOST_HYPERPLANES)
    seed, kind = check.seed(seed), random_kind(kind)
    if not isinstance(descent, AdamDescent):
        raise TypeError(f"descent is {check.shown(descent)}; it must be an AdamDescent(...)")
    if not callable(score):
        raise TypeError(f"score is {check.shown(score)}; it must be a function of a Problem")
    if checked_problem(test, "test").num_params != D:
        raise ValueError(
            f"test has {test.num_params:,} parameters; it must be the same model as problem, which "
            f"has {D:,}"
        )
    if dims is None:
        planned = _doubling(D)
    else:
        wanted = check.several("dims", dims)
        planned = sorted({check.whole(each, dim, 1, D, "D") for each, dim in wanted})
    kept = None
    if run is not None:
        how: dict[str, Any] = {"kind": str(kind), "num_seeds": num_seeds, "seed": seed}
        how |= {"descent": vars(descent), "trained_by": measured_by(type(descent))}
        how |= {"test": test.identity(), "score": measured_by(score)}
        kept = Run.create(run, {**how, "problem": problem.identity()})
    total, done = (len(planned) + 1) * num_seeds, 0

    def trained(dim: int) -> list[float]:
        """The score of each seed in `dim` dimensions; with 0, of all weights."""
        nonlocal done
        scores = []
        for index in range(num_seeds):
            if progress is not None:
                progress(done, total, f"d = {dim:,}" if dim else "all weights")
            done += 1
            place = dim * num_seeds + index
            if kept is not None and place in kept.steps():
                scores.append(float(kept.snapshot(place)["score"]))
                continue
            weights = _weights(problem, dim, kind, descent, seed + index)
            scores.append(float(score(test.at(weights))))
            if kept is not None:
                kept.write_snapshot(place, xr.Dataset({"score": scores[-1]}))
        return scores

    full = np.array(trained(0))
    scores: list[list[float]] = []
    for dim in planned:
        scores.append(trained(dim))
        if dims is None and min(scores[-1]) >= threshold * full.mean():
            break
    return IntrinsicDimension(
        np.array(planned[: len(scores)]), np.array(scores), full, threshold, problem.num_params
    )


def _weights(
    problem: Problem, dim: int, kind: BasisKind | str, descent: AdamDescent, seed: int
) -> Float[Tensor, " D"]:
    if dim == 0:
        return descent.in_full(problem, seed)
    return descent.in_hyperplane(AffineHyperplane(problem, dim, kind, seed), seed)


def _doubling(num_params: int) -> list[int]:
    """8, 16, 32, … and D itself."""
    powers = [2**bits for bits in range(3, num_params.bit_length())]
    return [*(dim for dim in powers if dim < num_params), num_params]
