"""Measurements of a sweep under test, which worker processes import."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import xarray as xr


def norms(problem, seed):
    return xr.Dataset(
        {
            "loss": float(problem.loss()),
            "weight_norm": float(problem.parameters_vector().norm()),
            "gradient": ("parameter", problem.gradient().numpy()),
        }
    )


def failing_at_seed_1(problem, seed):
    if seed == 1:
        raise RuntimeError("no measurement of seed 1\nand more that nobody wants to read")
    return norms(problem, seed)


@dataclass(frozen=True)
class Held:
    """Wait to be killed in the middle of a cell, once in all processes: `marker` has the pid."""

    marker: Path
    __name__ = "held"

    def __call__(self, problem, seed):
        # In a file, for a global that a measurement changes would make it another one.
        here = self.marker.with_name(f"measured-{os.getpid()}")
        with here.open("a") as seeds:
            seeds.write(f"{seed}\n")
        if here.read_text().split()[-2:] == ["1", "1"] and not self.marker.exists():
            beside = self.marker.with_name(f"{os.getpid()}")
            beside.write_text(str(os.getpid()))
            try:
                os.link(beside, self.marker)
            except FileExistsError:
                return norms(problem, seed)
            time.sleep(600)
        return norms(problem, seed)
