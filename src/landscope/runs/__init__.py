"""Run folders: configuration, immutable snapshots, checkpoints; weights from any file."""

from landscope.runs.checkpoint import Checkpoint
from landscope.runs.run import Run
from landscope.runs.trajectory import concatenate
from landscope.runs.weights import read_weights

__all__ = ["Checkpoint", "Run", "concatenate", "read_weights"]
