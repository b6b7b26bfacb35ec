"""A small training run as a process of its own, to be killed: python kill_target.py FOLDER."""

import sys

import torch
import xarray as xr

from landscope.problem import Problem
from landscope.training import TrainConfig, train

CONFIG = TrainConfig(
    width=0.25,
    steps=60,
    batch_size=32,
    num_measurements=8,
    measure_examples=40,
    checkpoint_every=7,
)


def measure(problem: Problem, reference: Problem) -> xr.Dataset:
    """Stand for `landscope.measure`: quick."""
    way = problem.parameters_vector() - reference.parameters_vector()
    gradient = problem.gradient().numpy()
    return xr.Dataset(
        {
            "loss": float(problem.loss()),
            "gradient": ("parameter", gradient),
            "way": float(way.double().norm()),
        }
    )


if __name__ == "__main__":
    torch.set_num_threads(1)

    def announce(step: int, num_steps: int, doing: str) -> None:
        print(doing, step, flush=True)

    train(CONFIG, sys.argv[1], announce, measure=measure)
