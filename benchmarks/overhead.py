"""What the Recorder costs a training: its share of the time under a budget.

`python -m benchmarks.overhead [--budget 0.1] [--steps 20000] [--data digits] [--threads 1]`
"""

import argparse
import tempfile
import time
import warnings
from functools import partial

import torch
from torch.nn.functional import cross_entropy

import landscope as ls
from landscope.training.overhead import OverheadWarning
from landscope.zoo import load_dataset, make_network


def record(data_name: str, steps: int, every: int, budget: float) -> tuple[ls.Recorder, float]:
    """Train a SmallCNN with the Recorder, and say how long the whole loop took."""
    data = load_dataset(data_name, None, max_examples=None, max_test_examples=10, seed=0)
    model = make_network("small_cnn", data.input_shape, data.num_classes, seed=0)
    inputs, targets = data.train
    problem = ls.Problem(model.eval(), (inputs[:300], targets[:300]))
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    measure = partial(ls.measure, parts=["probabilities", "clustering", "hessian"])
    recorder = ls.Recorder(
        problem, tempfile.mkdtemp(), every, measure, optimizer=optimizer, max_overhead=budget
    )
    started = time.perf_counter()
    for step in range(steps + 1):
        recorder.step(model, step)
        batch = torch.randint(len(inputs), (128,))
        optimizer.zero_grad()
        cross_entropy(model(inputs[batch]), targets[batch]).backward()
        optimizer.step()
    took = time.perf_counter() - started
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OverheadWarning)
        recorder.close()
    return recorder, took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=0.1)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recorder, took = record(options.data, options.steps, options.every, options.budget)
    measured, skipped = recorder.run.steps(), recorder.skipped
    print(
        f"{took:.0f} s, of which {recorder.overhead:.2%} measuring (budget {options.budget:.0%}); "
        f"{len(measured)} of {len(measured) + len(skipped)} scheduled steps measured: {measured}"
    )


if __name__ == "__main__":
    main()
