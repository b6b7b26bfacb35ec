"""A training run as a process of its own, to be killed: python kill_target.py FOLDER quick|full."""

import sys

import torch
import xarray as xr

from landscope.problem import Problem
from landscope.training import MeasureConfig, TrainConfig, train

CONFIG = TrainConfig(
    width=0.25,
    steps=60,
    batch_size=32,
    num_measurements=8,
    measure_examples=40,
    measure=MeasureConfig(num_eigenvalues=3, num_probes=2, num_steps=10),
    checkpoint_every=7,
)


def quick(problem: Problem, reference: Problem) -> xr.Dataset:
    """Stand for `landscope.measure` in a hundredth of its time."""
    way = problem.parameters_vector() - reference.parameters_vector()
    gradient = problem.gradient().numpy()
    return xr.Dataset(
        {
            "loss": float(problem.loss()),
            "gradient": ("parameter", gradient),
            "way": float(way.double().norm()),
        }
    )


MEASURES = {"quick": quick, "full": None}

if __name__ == "__main__":
    torch.set_num_threads(1)

    def announce(step: int, num_steps: int, doing: str) -> None:
        print(doing, step, flush=True)

    train(CONFIG, sys.argv[1], announce, measure=MEASURES[sys.argv[2]])
