"""Products keep to the memory limit, and are the same whatever it is."""

import subprocess
import sys

import pytest
import torch

import landscope as ls
from tests.reference.networks import CASES

PEAK = """
import threading, time, psutil, torch
import landscope as ls
from landscope.zoo.networks.small_cnn import SmallCNN

torch.set_num_threads(1)
torch.manual_seed(0)

def problem(examples):
    data = torch.randn(examples, 3, 32, 32), torch.arange(examples) % 10
    return ls.Problem(SmallCNN((3, 32, 32)), data)

def peak(operator):
    "Most resident bytes during two products, above those before."
    process, seen, done = psutil.Process(), [0], threading.Event()
    def watch():
        while not done.is_set():
            seen[0] = max(seen[0], process.memory_info().rss)
            time.sleep(0.001)
    before = process.memory_info().rss
    v = torch.randn(operator.shape[0])
    thread = threading.Thread(target=watch)
    thread.start()
    for _ in range(2):
        operator @ v
    done.set()
    thread.join()
    return seen[0] - before

ls.Hessian(problem(8), method="linearized") @ torch.zeros(19466)  # torch loads its parts
large = problem(1536)
limit = {limit}
print(peak(ls.Hessian(large, method="linearized", memory_limit=limit)))
"""


def peak_bytes(limit):
    run = subprocess.run(
        [sys.executable, "-c", PEAK.format(limit=limit)], capture_output=True, text=True, check=True
    )
    return int(run.stdout)


@pytest.mark.slow
def test_the_peak_stays_within_ten_per_cent_of_the_limit():
    needed = peak_bytes(limit=10 * 2**30)
    limit = needed // 4
    assert limit > 50 * 2**20
    assert peak_bytes(limit) < 1.1 * limit


@pytest.mark.parametrize("operator", ["Hessian", "GaussNewton", "LogitJacobian", "TangentKernel"])
def test_a_limit_changes_no_number(operator):
    case = CASES["conv"]
    problem = ls.Problem(case.model(), case.data(), loss=case.loss)
    free, tight = (
        getattr(ls, operator)(problem, method="linearized", memory_limit=limit)
        for limit in (None, 30_000)
    )
    v = torch.ones(free.shape[1], dtype=torch.float64)
    assert torch.allclose(free @ v, tight @ v, rtol=1e-12, atol=1e-14)
    some = tight.explain()
    assert some.num_pieces > free.explain().num_pieces
    assert some.kept_bytes <= 30_000


def test_what_does_not_fit_is_recomputed():
    case = CASES["mlp"]
    problem = ls.Problem(case.model(), case.data(), batch_size=2)
    none = ls.Hessian(problem, method="linearized", memory_limit=1).explain()
    assert none.num_kept < none.num_pieces
