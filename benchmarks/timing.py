"""Times that can be compared: all competitors in every round, disturbed rounds left out."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch

ROUNDS = 5
DISTURBED = 1.3
"""A round is discarded where the fixed matrix product beside it took so many times its median."""
SHORTEST = 0.03
"""Seconds: anything shorter is repeated within a round."""


Device = str | torch.device


@dataclass(frozen=True)
class Times:
    """Seconds of one call over the rounds that count."""

    median: float
    lower_quartile: float
    upper_quartile: float
    rounds: int
    discarded: int

    def as_json(self) -> dict[str, float]:
        return asdict(self)


def seconds(run: Callable[[], object], device: Device = "cpu", repeats: int = 1) -> float:
    """Wall-clock time of one call."""
    _synchronize(device)
    started = time.perf_counter()
    for _ in range(repeats):
        run()
    _synchronize(device)
    return (time.perf_counter() - started) / repeats


def interleaved(
    competitors: dict[str, Callable[[], object]],
    rounds: int = ROUNDS,
    device: Device = "cpu",
    warm_up: bool = True,
) -> dict[str, Times]:
    """Time competitors in turn, the order rotated from round to round.

    Rounds are added, up to as many again, until enough of them are undisturbed.
    """
    names, repeats = list(competitors), dict.fromkeys(competitors, 1)
    if warm_up:
        for name, run in competitors.items():
            run()
            repeats[name] = max(1, round(SHORTEST / max(seconds(run, device), 1e-9)))
    yardstick = _Yardstick(device)
    measured: list[tuple[float, dict[str, float]]] = []
    while len(measured) < 2 * rounds:
        shift = len(measured) % len(names)
        before, taken = yardstick(), {}
        for name in names[shift:] + names[:shift]:
            taken[name] = seconds(competitors[name], device, repeats[name])
        measured.append((max(before, yardstick()), taken))
        if len(measured) >= rounds and len(_undisturbed(measured)) >= rounds:
            break
    kept = _undisturbed(measured)
    return {
        name: _times([taken[name] for taken in kept], len(measured) - len(kept)) for name in names
    }


def _undisturbed(measured: list[tuple[float, dict]]) -> list[dict[str, float]]:
    limit = DISTURBED * statistics.median(around for around, _ in measured)
    return [taken for around, taken in measured if around <= limit]


def _times(taken: list[float], discarded: int) -> Times:
    low, middle, high = (
        statistics.quantiles(taken, n=4, method="inclusive") if len(taken) > 1 else taken * 3
    )
    return Times(middle, low, high, len(taken), discarded)


class _Yardstick:
    """A fixed matrix product: how fast the machine is just now."""

    def __init__(self, device: Device) -> None:
        size = 512 if torch.device(device).type == "cpu" else 4096
        self._matrix = torch.ones(size, size, device=device)
        self._device = device
        self()

    def __call__(self) -> float:
        return min(
            seconds(lambda: self._matrix @ self._matrix, self._device, repeats=3) for _ in range(3)
        )


def _synchronize(device: Device) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
