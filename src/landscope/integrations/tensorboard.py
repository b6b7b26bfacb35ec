"""Snapshots in TensorBoard."""

from os import PathLike
from pathlib import Path

import numpy as np
import xarray as xr

from landscope.integrations.extra import extra
from landscope.integrations.histograms import Histogram, histograms
from landscope.integrations.pictures import pictures
from landscope.integrations.scalars import scalars

with extra("tensorboard"):
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardTracker:
    """Write every snapshot of a Recorder to TensorBoard: numbers, spectra and pictures.

    Parameters
    ----------
    where
        The folder of the event files, opened at the first snapshot; or a SummaryWriter, which is
        left open.

    Raises
    ------
    TypeError
        If `where` is neither.

    Examples
    --------
    >>> import tempfile
    >>> tracker = TensorBoardTracker(tempfile.mkdtemp())
    >>> tracker.log(0, xr.Dataset({"loss": 2.3}))  # a Recorder with trackers=[tracker] does it
    >>> tracker.close()
    """

    def __init__(self, where: str | PathLike[str] | SummaryWriter) -> None:
        if not isinstance(where, str | PathLike | SummaryWriter):
            raise TypeError(f"where is {where!r}; accepted are a folder and a SummaryWriter")
        self._given = where if isinstance(where, SummaryWriter) else None
        self._folder = None if isinstance(where, SummaryWriter) else Path(where)
        self._writer = self._given

    def log(self, step: int, snapshot: xr.Dataset) -> None:
        """Write a snapshot, for good."""
        writer = self._writer = self._writer or SummaryWriter(self._folder)
        for name, value in scalars(snapshot).items():
            writer.add_scalar(name, value, step)
        for name, histogram in histograms(snapshot).items():
            _add_histogram(writer, name, histogram, step)
        for name, image in pictures(step, snapshot).items():
            writer.add_image(name, image, step, dataformats="HWC")
        writer.flush()

    def close(self) -> None:
        """Close the event file, if the tracker opened it."""
        if self._writer is not None and self._given is None:
            self._writer.close()
            self._writer = None


def _add_histogram(writer: SummaryWriter, name: str, histogram: Histogram, step: int) -> None:
    counts, edges = histogram.counts, histogram.edges
    centres = (edges[:-1] + edges[1:]) / 2
    writer.add_histogram_raw(
        name,
        min=edges[0],
        max=edges[-1],
        num=counts.sum(),
        sum=counts @ centres,
        sum_squares=counts @ np.square(centres),
        bucket_limits=edges[1:],
        bucket_counts=counts,
        global_step=step,
    )
