"""At which steps to measure."""

from collections.abc import Callable, Collection
from typing import Any

from landscope.arguments import shown, whole

Schedule = int | Collection[int] | Callable[[int], bool]


def measuring_steps(num_steps: int, num_measurements: int) -> list[int]:
    """Choose steps to measure at: the start, the end, and log-spaced ones between.

    Parameters
    ----------
    num_steps
        T, the number of updates; the last step is T itself.
    num_measurements
        n ≥ 2, how many steps to choose.

    Returns
    -------
    list of int
        Ascending, from 0 to T: 0 and then T^{i/(n−1)}, rounded and moved apart where two would
        coincide. There are n of them, or T + 1 where n is larger.

    Raises
    ------
    ValueError
        If `num_steps` is negative or `num_measurements` below 2.

    Examples
    --------
    >>> measuring_steps(1000, 4)
    [0, 10, 100, 1000]
    >>> measuring_steps(5, 5)
    [0, 1, 2, 3, 5]
    """
    num_steps = whole("num_steps", num_steps, 0)
    num_measurements = whole("num_measurements", num_measurements, 2)  # the start and the end
    last = min(num_measurements - 1, num_steps)
    steps = [0]
    for i in range(1, last + 1):
        spaced = round(num_steps ** (i / last))
        room_for_the_rest = num_steps - (last - i)
        steps.append(min(max(spaced, steps[-1] + 1), room_for_the_rest))
    return steps


def as_predicate(schedule: Schedule) -> Callable[[int], bool]:
    """Give a schedule in any of its forms as a function of the step.

    Parameters
    ----------
    schedule
        Every so many steps (an int), the steps themselves (a collection), or a function
        step → bool.

    Raises
    ------
    TypeError, ValueError
        If `schedule` is none of these.

    Examples
    --------
    >>> every_hundred = as_predicate(100)
    >>> [step for step in range(301) if every_hundred(step)]
    [0, 100, 200, 300]
    """
    if callable(schedule):
        return schedule
    if _is_step(schedule):
        every = int(schedule)  # type: ignore[arg-type]
        if every < 1:
            raise ValueError(f"schedule is {every}; to measure every n steps, n must be positive")
        return lambda step: step % every == 0
    if isinstance(schedule, Collection) and all(_is_step(step) for step in schedule):
        steps = frozenset(map(int, schedule))
        if steps and min(steps) < 0:
            raise ValueError(f"schedule holds the step {min(steps)}; steps are counted from 0")
        return steps.__contains__
    raise TypeError(
        f"schedule is {shown(schedule)}; accepted are an int (every n steps), a collection of "
        "steps and a function step -> bool"
    )


def _is_step(value: Any) -> bool:
    is_array = getattr(value, "ndim", 0) > 0
    return hasattr(value, "__index__") and not isinstance(value, bool) and not is_array
