"""Gauss–Newton products for large vocabularies: right, and without the logits as a whole."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

import landscope as ls
from landscope.problem import linear_head as heads
from landscope.products import large_output_vector


class Language(nn.Module):
    """Tokens to logits, through one hidden layer; the head shares the embedding if tied."""

    def __init__(self, vocabulary, width, tied=False, bias=True):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.hidden = nn.Linear(width, width)
        self.head = nn.Linear(width, vocabulary, bias=bias)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens):
        return self.head(torch.tanh(self.hidden(self.embedding(tokens))))


class Scaled(Language):
    """Something follows the last layer, so that the logits are not its output."""

    def forward(self, tokens):
        return 30 * torch.tanh(super().forward(tokens) / 30)


def language_problem(model=Language, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = model(23, 5, **options).double()
        tokens, targets = torch.randint(0, 23, (4, 6)), torch.randint(0, 23, (4, 6))
    targets[0, 3:] = -100
    return ls.Problem(network, (tokens, targets), batch_size=3)


PLAIN, BOTH = {}, {"tied": True, "bias": False}


@pytest.mark.parametrize("operator", ["GaussNewton", "EmpiricalFisher"])
@pytest.mark.parametrize(
    ("method", "options"),
    [("auto", options) for options in (PLAIN, {"bias": False}, {"tied": True}, BOTH)]
    + [("linearized", BOTH), ("double_backward", PLAIN), ("double_backward", BOTH)]
    + [("finite_difference", PLAIN), ("finite_difference", BOTH)],
)
def test_rows_at_a_time_equal_the_whole(monkeypatch, operator, method, options):
    problem = language_problem(**options)
    v = torch.randn(problem.num_params, dtype=torch.float64, generator=torch.Generator())
    whole = getattr(ls, operator)(problem, method="double_backward") @ v
    monkeypatch.setattr(heads, "LARGE_OUTPUT", 0)
    monkeypatch.setattr(large_output_vector, "ROW_BYTES", 4 * 23 * 8)
    parts = getattr(ls, operator)(language_problem(**options), method=method) @ v
    tolerance = 1e-8 if method == "finite_difference" else 1e-12
    assert float((parts - whole).norm()) < tolerance * float(whole.norm())


@pytest.mark.parametrize("selected", [["hidden"], ["head"], ["head.bias"], ["embedding"]])
def test_parameters_apart_from_the_head_or_of_it_alone(monkeypatch, selected):
    model = Language(23, 5).double()
    data = torch.arange(12).view(3, 4), torch.arange(12).view(3, 4)
    problem = ls.Problem(model, data, params=selected)
    v = torch.ones(problem.num_params, dtype=torch.float64)
    whole = ls.GaussNewton(problem) @ v
    monkeypatch.setattr(heads, "LARGE_OUTPUT", 0)
    assert torch.allclose(ls.GaussNewton(problem) @ v, whole, rtol=1e-11, atol=1e-14)


def test_the_head_is_found_only_where_the_logits_are_its_output():
    assert heads.linear_head(language_problem()).weight == "head.weight"
    assert heads.linear_head(language_problem(tied=True)).weight == "embedding.weight"
    assert heads.linear_head(language_problem(Scaled)) is None


MEMORY = """
import threading, time, psutil, torch
import landscope as ls
from tests.operators.test_large_output import Language

torch.manual_seed(0)
torch.set_num_threads(1)
small = ls.Problem(Language(2_000, 4), (torch.zeros(1, 999).long(),) * 2)
ls.GaussNewton(small, method="{method}") @ torch.ones(small.num_params)  # torch loads its parts
tokens = torch.randint(0, 50_000, (1, 1024))
problem = ls.Problem(Language(50_000, 16), (tokens, tokens))
G = ls.GaussNewton(problem, method="{method}")
v = torch.randn(problem.num_params)
process, peak, done = psutil.Process(), [0], threading.Event()

def watch():
    while not done.is_set():
        peak[0] = max(peak[0], process.memory_info().rss)
        time.sleep(0.001)

before = process.memory_info().rss
thread = threading.Thread(target=watch)
thread.start()
for _ in range(2):
    G @ v
done.set()
thread.join()
print((peak[0] - before) / (1024 * 50_000 * 4))
"""


# glibc gives freed blocks back at once: what it keeps differs by a fifth from run to run.
FREED_AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["auto", "linearized"])
def test_a_vocabulary_of_50000_takes_less_than_one_array_of_logits(method):
    run = subprocess.run(
        [sys.executable, "-c", MEMORY.format(method=method)],
        env=os.environ | FREED_AT_ONCE,
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(run.stdout) < 1.0
