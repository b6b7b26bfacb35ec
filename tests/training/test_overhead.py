"""A share of the time, on a clock of the test's own."""

import re
from functools import partial

import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import landscope as ls
from landscope.training import recorder as recorders
from landscope.training.overhead import Overhead, OverheadWarning


class Clock:
    """Seconds that pass only where the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(
    most=st.floats(0.02, 0.9),
    cost=st.floats(0.1, 10),
    step=st.floats(0.01, 1),
    every=st.integers(1, 20),
)
def test_equal_costs_keep_to_the_share_and_no_affordable_one_is_left_out(most, cost, step, every):
    clock = Clock()
    overhead = Overhead(most, clock)
    shares = []
    for t in range(400):
        affordable = overhead.affordable()
        with_one_more = (overhead.spent + cost) / (clock.now + cost)
        if overhead.spent and abs(with_one_more - most) > 1e-9:
            assert affordable == (with_one_more <= most)
        if t % every == 0 and affordable:
            with overhead.measuring():
                clock.now += cost
            shares.append(overhead.share)
        clock.now += step
    assert all(share <= most + 1e-9 for share in shares[1:])


def test_a_measurement_that_fails_has_cost_its_time():
    clock = Clock()
    overhead = Overhead(0.5, clock)

    def fail_after_three_seconds():
        with overhead.measuring():
            clock.now += 3
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after_three_seconds()
    assert overhead.spent == 3
    assert not overhead.affordable()


def test_without_a_limit_everything_is_affordable():
    clock = Clock()
    overhead = Overhead(None, clock)
    with overhead.measuring():
        clock.now += 100
    assert overhead.affordable()
    assert overhead.share == 1


@pytest.mark.parametrize("most", [0, 1, -0.1, 10, float("nan")])
def test_what_is_no_share_is_refused(most):
    with pytest.raises(ValueError, match=re.escape(f"max_overhead is {most}")):
        Overhead(most)


def follow(folder, monkeypatch, costs, first=0, most=0.2):
    """Record 61 steps of one second each; measurement n takes costs[n] seconds."""
    clock, costs = Clock(), iter(costs)
    monkeypatch.setattr(recorders, "Overhead", partial(Overhead, clock=clock))
    model = nn.Linear(2, 2)
    problem = ls.Problem(model, (torch.eye(2), torch.arange(2)))

    def measure(problem):
        clock.now += next(costs)
        return xr.Dataset({"loss": float(problem.loss())})

    with ls.Recorder(problem, folder, 5, measure, max_overhead=most) as recorder:
        for step in range(first, 61):
            recorder.step(model, step)
            clock.now += 1
    return recorder


def test_the_schedule_is_thinned_and_what_was_left_out_is_said(tmp_path, monkeypatch):
    with pytest.warns(OverheadWarning, match=r"8 scheduled steps .* 20% .*: 5, 10, 15, 25, 30, …"):
        recorder = follow(tmp_path, monkeypatch, [2, 5, 2, 2, 2])
    # With t seconds of training: (2 + 2)/(t + 4) at t = 20, (7 + 5)/(t + 12) at t = 50.
    steps = recorder.run.steps()
    assert steps == [0, 20, 50, 55, 60]
    assert recorder.skipped == [5, 10, 15, 25, 30, 35, 40, 45]
    assert recorder.run.summary()["skipped"] == recorder.skipped
    assert recorder.overhead == pytest.approx(13 / 74)


def test_what_a_run_left_out_before_it_was_stopped_is_remembered(tmp_path, monkeypatch):
    with pytest.warns(OverheadWarning):
        before = follow(tmp_path, monkeypatch, [10, 1]).skipped
    with pytest.warns(OverheadWarning):
        after = follow(tmp_path, monkeypatch, [1] * 20, first=50)
    assert set(after.skipped) == set(before) - set(after.run.steps())


@pytest.mark.filterwarnings("error::landscope.training.overhead.OverheadWarning")
def test_a_run_that_goes_on_without_a_limit_has_nothing_to_say(tmp_path, monkeypatch):
    with pytest.warns(OverheadWarning):
        before = follow(tmp_path, monkeypatch, [10, 1]).skipped
    after = follow(tmp_path, monkeypatch, [1] * 20, most=None)
    assert before
    assert after.skipped == []
