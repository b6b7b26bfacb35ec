"""A run: one folder with its configuration, its snapshots and what is needed to go on."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import xarray as xr
from safetensors import SafetensorError
from torch import Tensor

from landscope.runs.atomic import remove_partial
from landscope.runs.checkpoint import Checkpoint, read_tensors, write_tensors
from landscope.runs.configuration import reason_to_refuse
from landscope.runs.json_file import plain, read_json, write_json
from landscope.runs.snapshot import read_snapshot, write_snapshot
from landscope.runs.trajectory import concatenate

_KEPT_CHECKPOINTS = 2


class Run:
    """A run folder.

    ::

        RUN/config.json                         what was asked for; never changes
        RUN/snapshots/00000120.nc               one measured step each; immutable
        RUN/checkpoints/00000120.safetensors    the last two
        RUN/reference.safetensors               the weights that drifts are measured from
        RUN/eigenvectors/00000120.safetensors   of the last measured step: the next one starts there
        RUN/summary.json                        the main numbers

    Every file is written beside its place and renamed, so a run killed at any moment loses at
    most the snapshot in progress. Make a Run with `Run.create` or `Run.open`.

    Parameters
    ----------
    path
        The folder of an existing run.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> run = Run.create(folder, {"seed": 0})
    >>> run.write_snapshot(0, xr.Dataset({"loss": 2.3}))
    >>> run.write_snapshot(10, xr.Dataset({"loss": 0.7}))
    >>> Run.open(folder).trajectory().loss.values
    array([2.3, 0.7])
    >>> Run.create(folder, {"seed": 1})
    Traceback (most recent call last):
    ...
    ValueError: the run ... has another configuration: seed is 0 there and 1 here; ...
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, steps={self.steps()})"

    @classmethod
    def create(cls, path: str | Path, config: Mapping[str, Any]) -> Self:
        """Open a run for writing; make it where there is none.

        Temporary files that a killed writer left are removed: a run has one writer at a time.

        Parameters
        ----------
        path
            The folder; made where absent.
        config
            What makes this run this run: a nested mapping that JSON can hold.

        Raises
        ------
        ValueError
            If the run exists with another configuration; the differing keys are named.
        """
        run = cls(path)
        config = plain(config)
        for folder in (run.path, run._snapshots, run._checkpoints):
            folder.mkdir(parents=True, exist_ok=True)
            remove_partial(folder)
        if not run._config_file.exists():
            write_json(run._config_file, config)
        elif why := reason_to_refuse(run.config, config):
            raise ValueError(f"the run {run.path} {why}")
        return run

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open an existing run for reading.

        Raises
        ------
        FileNotFoundError
            If there is no run at `path`.
        """
        run = cls(path)
        if not run._config_file.exists():
            raise FileNotFoundError(f"{path} is no run folder: it has no config.json")
        return run

    @property
    def config(self) -> dict[str, Any]:
        """The configuration that the run was created with."""
        return read_json(self._config_file)

    def steps(self) -> list[int]:
        """List the measured steps in ascending order."""
        return _steps_in(self._snapshots, "nc")

    def write_snapshot(self, step: int, dataset: xr.Dataset) -> None:
        """Keep what was measured at `step`, for good.

        Raises
        ------
        FileExistsError
            If `step` has a snapshot: snapshots are never overwritten.
        """
        coordinate = ((), step, {"long_name": "updates made so far", "units": "1"})
        write_snapshot(self._snapshot_file(step), dataset.assign_coords(step=coordinate))

    def snapshot(self, step: int) -> xr.Dataset:
        """Read what was measured at `step`.

        Raises
        ------
        KeyError
            If `step` was not measured.
        """
        if not self._snapshot_file(step).exists():
            raise KeyError(f"step {step} was not measured in {self.path}; it has {self.steps()}")
        return read_snapshot(self._snapshot_file(step))

    def trajectory(self) -> xr.Dataset:
        """Read all snapshots as one Dataset along the dimension `step`.

        Raises
        ------
        ValueError
            If nothing has been measured yet.

        See Also
        --------
        landscope.runs.concatenate : how snapshots of different shapes are joined.
        """
        steps = self.steps()
        if not steps:
            raise ValueError(f"the run {self.path} has no snapshot yet")
        return concatenate([self.snapshot(step) for step in steps])

    def write_checkpoint(
        self, step: int, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
    ) -> None:
        """Keep what training needs to go on from `step`; only the last two are kept.

        Parameters
        ----------
        step
            The number of updates made so far.
        tensors, metadata
            Named tensors and named strings.
        """
        write_tensors(self._checkpoint_file(step), tensors, metadata)
        for old in _steps_in(self._checkpoints, "safetensors")[:-_KEPT_CHECKPOINTS]:
            self._checkpoint_file(old).unlink()

    def latest_checkpoint(self, no_later_than: int | None = None) -> Checkpoint | None:
        """Read the last checkpoint that is whole.

        Parameters
        ----------
        no_later_than
            The last step to consider; None for no bound.

        Returns
        -------
        Checkpoint or None
            None where there is no such checkpoint. A damaged file is passed over with a warning.
        """
        for step in reversed(_steps_in(self._checkpoints, "safetensors")):
            if no_later_than is not None and step > no_later_than:
                continue
            try:
                return Checkpoint(step, *read_tensors(self._checkpoint_file(step)))
            except SafetensorError as error:
                warnings.warn(
                    f"the checkpoint of step {step} in {self.path} is damaged ({error}); "
                    "an earlier one is used",
                    stacklevel=2,
                )
        return None

    def write_reference(self, tensors: Mapping[str, Tensor]) -> None:
        """Keep the weights that later snapshots are compared with."""
        write_tensors(self._reference_file, tensors, {})

    def reference(self) -> dict[str, Tensor] | None:
        """Read the weights that later snapshots are compared with, None where there are none."""
        return read_tensors(self._reference_file)[0] if self._reference_file.exists() else None

    def write_eigenvectors(self, step: int, blocks: Mapping[str, Tensor]) -> None:
        """Keep the eigenvectors found at `step`, by operator, before its snapshot is written."""
        if not blocks:
            return
        self._eigenvectors.mkdir(exist_ok=True)
        write_tensors(self._eigenvectors / f"{step:08d}.safetensors", blocks, {})
        for old in _steps_in(self._eigenvectors, "safetensors"):
            if old not in (step, *self.steps()[-1:]):
                (self._eigenvectors / f"{old:08d}.safetensors").unlink()

    def eigenvectors(self) -> dict[str, Tensor]:
        """Read the eigenvectors of the last measured step, by operator; empty if none are kept."""
        last = [self._eigenvectors / f"{step:08d}.safetensors" for step in self.steps()[-1:]]
        return read_tensors(last[0])[0] if last and last[0].exists() else {}

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write `summary.json`, replacing an older one; NaN becomes null."""
        write_json(self._summary_file, summary)

    def summary(self) -> dict[str, Any] | None:
        """Read `summary.json`, None where it was not written yet."""
        return read_json(self._summary_file) if self._summary_file.exists() else None

    @property
    def _config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def _summary_file(self) -> Path:
        return self.path / "summary.json"

    @property
    def _reference_file(self) -> Path:
        return self.path / "reference.safetensors"

    @property
    def _snapshots(self) -> Path:
        return self.path / "snapshots"

    @property
    def _checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def _eigenvectors(self) -> Path:
        return self.path / "eigenvectors"

    def _snapshot_file(self, step: int) -> Path:
        return self._snapshots / f"{step:08d}.nc"

    def _checkpoint_file(self, step: int) -> Path:
        return self._checkpoints / f"{step:08d}.safetensors"


def _steps_in(folder: Path, suffix: str) -> list[int]:
    whole = (re.fullmatch(rf"(\d{{8,}})\.{suffix}", file.name) for file in folder.glob("*"))
    return sorted(int(match[1]) for match in whole if match)
