"""Beside busy programs everything is computed on fewer threads, and torch is left as it was set."""

from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch

import landscope as ls
from landscope.problem import threads
from tests.reference.dense import relative_error
from tests.reference.networks import CASES


@pytest.fixture
def beside(monkeypatch):
    """Four cores, of which others keep some busy; torch is set to three threads."""
    before = torch.get_num_threads()

    def busy(cores):
        monkeypatch.setattr(threads, "cores", 4)
        monkeypatch.setattr(threads.others, "cores", lambda: cores)
        torch.set_num_threads(3)

    yield busy
    torch.set_num_threads(before)


class Spy(torch.nn.Module):
    """A layer that notes the number of threads it and its copies are computed on, and may fail."""

    seen: ClassVar[set[int]] = set()
    fails = False

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(5, 4).double()

    def forward(self, x):
        Spy.seen.add(torch.get_num_threads())
        if Spy.fails:
            raise ArithmeticError("on demand")
        return self.linear(x)


@pytest.mark.parametrize(
    ("busy", "expected"), [(0.0, 3), (0.6, 3), (2.0, 2), (3.0, 1), (4.0, 1), (9.0, 1)]
)
def test_as_many_threads_as_cores_are_free_and_no_more_than_were_set(beside, busy, expected):
    beside(busy)
    with threads.on_free_cores():
        assert torch.get_num_threads() == expected
        with threads.on_free_cores():
            assert torch.get_num_threads() <= expected
    assert torch.get_num_threads() == 3


WORK = {
    "gradient": lambda problem: problem.gradient(),
    "loss": lambda problem: problem.loss(),
    "logits": lambda problem: problem.logits(),
    "hessian": lambda problem: ls.Hessian(problem).to_dense(),
    "gauss_newton": lambda problem: ls.GaussNewton(problem, method="linearized").to_dense(),
    "explain": lambda problem: ls.Hessian(problem, method="linearized").explain(),
    "clustering": lambda problem: ls.logit_clustering(problem),
    "construction": lambda problem: ls.Problem(Spy(), CASES["mlp"].data()),
}


@pytest.mark.parametrize("work", WORK)
def test_every_pass_through_the_model_is_on_free_cores(beside, monkeypatch, work):
    problem = ls.Problem(Spy(), CASES["mlp"].data())
    beside(4.0)
    Spy.seen.clear()
    WORK[work](problem)
    assert Spy.seen == {1}
    assert torch.get_num_threads() == 3
    monkeypatch.setattr(Spy, "fails", True)
    with pytest.raises(ArithmeticError, match="on demand"):
        problem.gradient()
    assert torch.get_num_threads() == 3


def test_the_number_of_threads_changes_nothing_but_rounding(beside):
    case = CASES["conv"]
    problem = ls.Problem(case.model(), case.data(), loss=case.loss)
    v = torch.ones(problem.num_params, dtype=problem.dtype)
    products = []
    for busy in (0.0, 4.0):
        beside(busy)
        products.append(ls.Hessian(problem) @ v)
    assert relative_error(*products) < 1e-12


def test_the_time_of_others_is_that_of_all_but_this_process(monkeypatch):
    class Own:
        def cpu_times(self):
            return SimpleNamespace(user=10.0, system=5.0, children_user=99.0)

    class Everyone:
        def _asdict(self):
            return {"user": 40.0, "nice": 2.0, "system": 8.0, "idle": 500.0, "iowait": 7.0}

    monkeypatch.setattr(threads.psutil, "cpu_times", Everyone)
    monkeypatch.setattr(threads.psutil, "Process", Own)
    assert threads.seconds_of_others() == 35.0
