"""With a vocabulary of 50,000 the logits of all tokens never exist at a time."""

import os
import subprocess
import sys

import pytest

from tests.operators.test_large_output import FREED_AT_ONCE

MEMORY = """
import threading, time, psutil, torch
import landscope as ls
from tests.operators.test_large_output import Language

torch.manual_seed(0)
torch.set_num_threads(1)
model = Language(50_000, 16)

def measured(examples):
    tokens = torch.randint(0, 50_000, (examples, 64))
    problem = ls.Problem(model, [{"tokens": tokens, "labels": tokens}])
    problem.loss(), problem.gradient()
    assert ls.class_probabilities(problem).probabilities.shape == (64 * examples, 10)

measured(1)  # torch loads its parts
process, peak, done = psutil.Process(), [0], threading.Event()

def watch():
    while not done.is_set():
        peak[0] = max(peak[0], process.memory_info().rss)
        time.sleep(0.001)

before = process.memory_info().rss
thread = threading.Thread(target=watch)
thread.start()
measured(64)
done.set()
thread.join()
print((peak[0] - before) / (64 * 64 * 50_000 * 4))
"""


@pytest.mark.slow
def test_reading_loss_gradient_and_probabilities_take_a_part_of_the_logits():
    run = subprocess.run(
        [sys.executable, "-c", MEMORY],
        env=os.environ | FREED_AT_ONCE,
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(run.stdout) < 0.4
