"""What is killed: commands and algorithms that go on, each with how its numbers are read."""

import contextlib
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from landscope import Problem
from landscope.cli import app
from landscope.linalg import eigsh, spectral_density
from landscope.runs import Run
from torture.plain_reports import plain_reports

Numbers = dict[str, np.ndarray]

CLOCK = ("seconds", "overhead")
"""Names of variables that hold times, which no two runs share."""


def small_problem() -> Problem:
    """Give a target of the commands: three classes of 60 points in the plane."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, generator=generator)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator))
    return Problem(net.eval(), (x, torch.arange(60) % 3))


class Subject(ABC):
    """A run in one folder that the same call goes on with.

    Attributes
    ----------
    name : str
        Of what runs.
    share : int
        Of two hundred attacks.
    """

    name: str
    share: int

    @abstractmethod
    def run(self, folder: Path) -> int:
        """Run to the end in this process, and give the exit status."""

    @abstractmethod
    def numbers(self, folder: Path) -> Numbers:
        """Read all that was measured so far; what cannot be read is an error."""

    def finished(self, folder: Path) -> Numbers:
        """Read the numbers of a run that has ended."""
        return self.numbers(folder)


@dataclass(frozen=True)
class Command(Subject):
    """A command of `landscope`, with its options but the folder.

    Attributes
    ----------
    name : str
        The command.
    share : int
        Of two hundred attacks.
    options : tuple of str
        Its arguments but ``--out``.
    inputs : mapping
        Files that it reads, by name; they are written beside the folder.
    drawn : bool
        Whether its report has pictures. To draw them takes longer than all that a kill can lose.
    """

    name: str
    share: int
    options: tuple[str, ...]
    inputs: Mapping[str, str] = field(default_factory=dict)
    drawn: bool = False

    def run(self, folder: Path) -> int:
        os.chdir(folder.parent)
        for name, text in self.inputs.items():
            Path(name).write_text(text, encoding="utf-8")
        try:
            with contextlib.nullcontext() if self.drawn else plain_reports():
                app([self.name, *self.options, "--out", str(folder)])
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
        return 0

    def numbers(self, folder: Path) -> Numbers:
        for report in folder.rglob("report.html"):
            if not report.read_text(encoding="utf-8").rstrip().endswith("</html>"):
                raise ValueError(f"{report} is not whole")
        return {
            f"{run.path.relative_to(folder)} step {step} {name}": values
            for run in _runs_below(folder)
            for step in run.steps()
            for name, values in _variables(run.snapshot(step)).items()
        }

    def finished(self, folder: Path) -> Numbers:
        return self.numbers(folder) | {
            f"{run.path.relative_to(folder)} summary {name}": np.array(value)
            for run in _runs_below(folder)
            for name, value in _leaves(run.summary() or {}).items()
            if not any(word in name for word in CLOCK)
        }


class Diagonal:
    """diag(λ), slow enough to be killed on the way."""

    dtype, device = torch.float64, torch.device("cpu")

    def __init__(self, eigenvalues: Tensor, pause: float):
        self.eigenvalues, self.pause = eigenvalues, pause
        self.shape = (len(eigenvalues), len(eigenvalues))

    def __matmul__(self, vectors: Tensor) -> Tensor:
        time.sleep(self.pause)
        return (self.eigenvalues * vectors.T).T


@dataclass(frozen=True)
class Algorithm(Subject):
    """`eigsh` or `spectral_density` with a checkpoint; its result is written at the end."""

    name: str
    share: int

    def run(self, folder: Path) -> int:
        folder.mkdir(exist_ok=True)
        eigenvalues = torch.cat(
            [torch.tensor([9.0, 8.0, 8.0, 8.0, -5.0]), torch.linspace(0, 1, 1995)]
        ).double()
        A, checkpoint = Diagonal(eigenvalues, 0.005), folder / "state.safetensors"
        try:
            if self.name == "eigsh":
                pairs = eigsh(A, 5, "LM", 1e-8, basis_size=16, seed=3, checkpoint=checkpoint)
                result = {"values": pairs.values.tolist()}
            else:
                density = spectral_density(A, 3, 40, checkpoint=checkpoint)
                result = {"density": density.density.tolist(), "stderr": density.stderr.tolist()}
        except KeyboardInterrupt:
            return 130
        except (OSError, ValueError) as error:
            print(f"Error: {error}", file=sys.stderr)
            return 1
        (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
        return 0

    def numbers(self, folder: Path) -> Numbers:
        file = folder / "result.json"
        if not file.exists():
            return {}
        found = json.loads(file.read_text(encoding="utf-8"))
        return {name: np.array(values) for name, values in found.items()}


SWEEP = """
data: digits
network: fully_connected
width: 0.02
classes: [0, 1, 2]
train_examples: 60
test_examples: 30
steps: 8
num_measurements: 2
measure_examples: 12
measure: {num_eigenvalues: 1, num_probes: 2, num_steps: 2, tol: 0.3}
seed: [0, 1]
"""

TARGET = "torture.subjects:small_problem"

SUBJECTS: tuple[Subject, ...] = (
    Algorithm("eigsh", 50),
    Algorithm("spectral_density", 50),
    Command(
        "intrinsic-dimension",
        25,
        (TARGET, "--dims", "2,5,10", "--steps", "40", "--num-seeds", "2"),
    ),
    Command("goldilocks", 25, (TARGET, "--radii", "0.1:10:4:log", "--dim", "3")),
    Command(
        "model",
        15,
        (
            *("--num-examples", "40", "--num-params", "200", "--num-classes", "4"),
            *("--sigma-z", "0.1:10:6:log", "--num-draws", "2"),
        ),
        drawn=True,
    ),
    Command(
        "train",
        25,
        (
            *("--network", "fully_connected", "--width", "0.02", "--classes", "0,1,2"),
            *("--train-examples", "60", "--test-examples", "30", "--measure-examples", "12"),
            *("--steps", "30", "--num-measurements", "3", "--checkpoint-every", "6"),
            *("--num-eigenvalues", "1", "--num-probes", "2", "--lanczos-steps", "2"),
            *("--tol", "0.3"),
        ),
    ),
    Command("sweep", 10, ("sweep.yaml", "--processes", "1"), {"sweep.yaml": SWEEP}),
)


def _runs_below(folder: Path) -> list[Run]:
    return [Run.open(file.parent) for file in sorted(folder.rglob("config.json"))]


def _variables(dataset: xr.Dataset) -> Numbers:
    return {
        str(name): values.values
        for name, values in dataset.variables.items()
        if values.dtype.kind in "biuf" and not any(word in str(name) for word in CLOCK)
    }


def _leaves(tree: Mapping[str, object], prefix: str = "") -> dict[str, float]:
    leaves: dict[str, float] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= _leaves(value, f"{prefix}{name}.")
        elif isinstance(value, int | float):
            leaves[prefix + name] = float(value)
    return leaves
