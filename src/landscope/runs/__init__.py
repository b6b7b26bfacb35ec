"""Run folders: configuration, immutable snapshots, checkpoints."""

from landscope.runs.checkpoint import Checkpoint
from landscope.runs.run import Run
from landscope.runs.trajectory import concatenate

__all__ = ["Checkpoint", "Run", "concatenate"]
