import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from scipy import stats

from landscope.linalg.checkpoint import Checkpoint


class MatrixOperator:
    """The least that linalg asks of an operator, around a dense matrix; counts its products."""

    def __init__(self, matrix):
        self.matrix = matrix
        self.shape, self.dtype, self.device = tuple(matrix.shape), matrix.dtype, matrix.device
        self.num_products = 0

    def __matmul__(self, vectors):
        self.num_products += 1 if vectors.ndim == 1 else vectors.shape[1]
        return self.matrix @ vectors


class DiagonalOperator(MatrixOperator):
    """A diagonal matrix of any size, known by its eigenvalues."""

    def __init__(self, eigenvalues):
        super().__init__(torch.as_tensor(eigenvalues))
        self.shape = (len(self.matrix), len(self.matrix))

    def __matmul__(self, vectors):
        self.num_products += 1 if vectors.ndim == 1 else vectors.shape[1]
        return torch.einsum("i,i...->i...", self.matrix, vectors)


class Interrupted(DiagonalOperator):
    """Stops its user after so many products."""

    limit = 10**9

    def __matmul__(self, vectors):
        if self.num_products >= self.limit:
            raise KeyboardInterrupt
        return super().__matmul__(vectors)


def kill_at(script, path, size):
    """Run a script that writes a file, and kill it once the file has this size."""
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], cwd=root)
    deadline = time.monotonic() + 600  # a process starts late on a busy machine
    while time.monotonic() < deadline and (not path.exists() or path.stat().st_size < size):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def symmetric_matrix(eigenvalues, seed=0):
    """A float64 matrix with these eigenvalues and random eigenvectors."""
    values = torch.as_tensor(eigenvalues, dtype=torch.float64)
    gaussian = torch.randn(
        len(values), len(values), generator=torch.Generator().manual_seed(seed), dtype=values.dtype
    )
    rotation = torch.linalg.qr(gaussian).Q
    matrix = rotation * values @ rotation.T
    return (matrix + matrix.T) / 2


def plausible_coverage(num_intervals, num_runs, level=0.95):
    """Least and largest share of runs in which each of some exact intervals covers the truth.

    By Bonferroni's bound some interval lies outside of them with probability 1 % at most.
    """
    law = stats.binom(num_runs, level)
    return law.ppf(0.005 / num_intervals) / num_runs, law.isf(0.005 / num_intervals) / num_runs


@pytest.fixture(name="operator_with")
def _operator_with():
    def build(eigenvalues, seed=0, dtype=torch.float64):
        return MatrixOperator(symmetric_matrix(eigenvalues, seed).to(dtype))

    return build


@pytest.fixture(name="operator_of")
def _operator_of():
    return MatrixOperator


@pytest.fixture(name="always_due")
def _always_due(monkeypatch):
    """Checkpoints are written at every step."""
    monkeypatch.setattr(Checkpoint, "save_if_due", Checkpoint.save)
