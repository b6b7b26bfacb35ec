import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscope.training.schedule import as_predicate, measuring_steps


@given(st.integers(0, 10_000), st.integers(2, 60))
def test_steps_run_from_start_to_end_without_repetition_and_in_the_number_asked(steps, n):
    chosen = measuring_steps(steps, n)
    assert chosen[0] == 0
    assert chosen[-1] == steps
    assert all(np.diff(chosen) > 0)
    assert len(chosen) == min(n, steps + 1)


def test_every_small_schedule_is_valid():
    for steps in range(40):
        for n in range(2, 45):
            chosen = measuring_steps(steps, n)
            assert sorted(set(chosen)) == chosen
            assert (chosen[0], chosen[-1], len(chosen)) == (0, steps, min(n, steps + 1))


def test_steps_between_are_log_spaced():
    assert measuring_steps(10**6, 7) == [0, 10, 10**2, 10**3, 10**4, 10**5, 10**6]


@pytest.mark.parametrize(("steps", "n", "name"), [(-1, 3, "num_steps"), (5, 1, "num_measurements")])
def test_impossible_schedules_are_refused(steps, n, name):
    with pytest.raises(ValueError, match=f"{name} is"):
        measuring_steps(steps, n)


@pytest.mark.parametrize(
    "schedule",
    [3, np.int64(3), [0, 3, 6], (0, 3, 6), {0, 3, 6}, range(0, 9, 3), lambda step: step % 3 == 0],
)
def test_each_form_of_a_schedule_chooses_the_same_steps(schedule):
    due = as_predicate(schedule)
    assert [step for step in range(8) if due(step)] == [0, 3, 6]


@pytest.mark.parametrize("schedule", [0, -2])
def test_an_interval_must_be_positive(schedule):
    with pytest.raises(ValueError, match="n must be positive"):
        as_predicate(schedule)


def test_negative_steps_are_refused():
    with pytest.raises(ValueError, match="schedule holds the step -3"):
        as_predicate([0, -3, 5])


@pytest.mark.parametrize("schedule", [True, 1.5, None, [0, 1.5], "10"])
def test_what_is_no_schedule_is_refused(schedule):
    with pytest.raises(TypeError, match=r"schedule is .* accepted are an int"):
        as_predicate(schedule)
