"""A run: one folder with its configuration, its snapshots and what is needed to go on."""

import os
import re
import uuid
import warnings
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import xarray as xr
from torch import Tensor

from landscope.runs.checkpoint import Checkpoint, read_tensors, write_tensors
from landscope.runs.configuration import reason_to_refuse
from landscope.runs.json_file import plain, read_json, write_json
from landscope.runs.seal import RUN_ID, DamagedFileError, Seal
from landscope.runs.snapshot import check_snapshot, read_snapshot, write_snapshot
from landscope.runs.trajectory import concatenate
from landscope.system.atomic import remove_partial
from landscope.system.folder import make_writable
from landscope.system.lock import WriterLock

_KEPT_CHECKPOINTS = 2
_SET_ASIDE = ".damaged"


class Run:
    """A run folder.

    ::

        RUN/config.json                         what was asked for, and a random id; never changes
        RUN/snapshots/00000120.nc               one measured step each; immutable
        RUN/checkpoints/00000120.safetensors    the last two
        RUN/reference.safetensors               the weights that drifts are measured from
        RUN/eigenvectors/00000120.safetensors   of the last measured step: the next one starts there
        RUN/summary.json                        the main numbers
        RUN/table.nc                            of a sweep
        RUN/lock.json                           who writes, while someone does

    Every file is written beside its place and renamed, so a run killed at any moment loses at
    most the snapshot in progress. Each has a digest of its content, and all but the JSON files the
    id of the run and the step they belong to: a snapshot that is damaged, of another run, or named
    by another step is left out with a warning, and all others stay readable. Make a Run with
    `Run.create` or `Run.open`; ``with Run.create(...) as run`` ends writing with the block.

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
        self._lock: WriterLock | None = None
        self._checked: dict[Path, tuple[int, int, bool]] = {}

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, steps={self.steps()})"

    @classmethod
    def create(cls, path: str | Path, config: Mapping[str, Any]) -> Self:
        """Open a run for writing; make it where there is none.

        A run has one writer at a time, until `close`, or until nobody refers to this object any
        more. Temporary files that a killed writer left are removed.

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
        OSError
            If the folder cannot be written, or another process writes to it.
        """
        run = cls(path)
        config = plain(config)
        make_writable(path, "run folder")
        run._lock = WriterLock(run.path / "lock.json")
        try:
            for folder in (run.path, run._snapshots, run._checkpoints):
                remove_partial(make_writable(folder, "run folder"))
            if not run._config_file.exists():
                write_json(run._config_file, {**config, RUN_ID: uuid.uuid4().hex})
            elif why := reason_to_refuse(run.config, config):
                raise ValueError(f"the run {run.path} {why}")
        except BaseException:
            run.close()
            raise
        return run

    def close(self) -> None:
        """End writing: another process may go on. Reading needs no end."""
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open an existing run for reading.

        Raises
        ------
        FileNotFoundError
            If there is no run at `path`.
        ValueError
            If its configuration is damaged.
        """
        run = cls(path)
        run._config_with_id()
        return run

    @property
    def config(self) -> dict[str, Any]:
        """The configuration that the run was created with.

        Raises
        ------
        ValueError
            If `config.json` is damaged.
        """
        content = self._config_with_id()
        content.pop(RUN_ID, None)
        return content

    def steps(self) -> list[int]:
        """List the measured steps in ascending order.

        Warns
        -----
        UserWarning
            For each snapshot that is damaged, of another run or of another step; it is left out.
        """
        return [step for step in _steps_in(self._snapshots, "nc") if self._is_right(step)]

    def write_snapshot(self, step: int, dataset: xr.Dataset) -> None:
        """Keep what was measured at `step`, for good.

        A damaged file in its place is set aside as ``NAME.damaged``.

        Raises
        ------
        FileExistsError
            If `step` has a snapshot: snapshots are never overwritten.
        """
        path = self._snapshot_file(step)
        if path.exists():
            if self._is_right(step):
                raise FileExistsError(
                    f"the snapshot {path} exists and snapshots are never overwritten"
                )
            os.replace(path, path.with_name(path.name + _SET_ASIDE))
        coordinate = ((), step, {"long_name": "updates made so far", "units": "1"})
        write_snapshot(path, dataset.assign_coords(step=coordinate), self._seal(step))

    def snapshot(self, step: int) -> xr.Dataset:
        """Read what was measured at `step`.

        Raises
        ------
        KeyError
            If `step` was not measured.
        ValueError
            If its file is damaged, of another run or of another step.
        """
        if not self._snapshot_file(step).exists():
            raise KeyError(f"step {step} was not measured in {self.path}; it has {self.steps()}")
        return read_snapshot(self._snapshot_file(step), self._seal(step))

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
        write_tensors(self._checkpoint_file(step), tensors, metadata, self._seal(step))
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
                read = read_tensors(self._checkpoint_file(step), self._seal(step))
                return Checkpoint(step, *read)
            except DamagedFileError as damaged:
                warnings.warn(f"checkpoint {damaged}; an earlier one is used", stacklevel=2)
        return None

    def write_reference(self, tensors: Mapping[str, Tensor]) -> None:
        """Keep the weights that later snapshots are compared with."""
        write_tensors(self._reference_file, tensors, {}, self._seal(None))

    def reference(self) -> dict[str, Tensor] | None:
        """Read the weights that later snapshots are compared with, None where there are none.

        Raises
        ------
        ValueError
            If the file is damaged or of another run: what is measured next could not be compared
            with what was measured before.
        """
        if not self._reference_file.exists():
            return None
        try:
            return read_tensors(self._reference_file, self._seal(None))[0]
        except DamagedFileError as damaged:
            raise DamagedFileError(
                f"{damaged}; drifts are measured from it: restore it, or name another folder"
            ) from damaged

    def write_eigenvectors(self, step: int, blocks: Mapping[str, Tensor]) -> None:
        """Keep the eigenvectors found at `step`, by operator, before its snapshot is written."""
        if not blocks:
            return
        self._eigenvectors.mkdir(exist_ok=True)
        seal = self._seal(step)
        write_tensors(self._eigenvectors / f"{step:08d}.safetensors", blocks, {}, seal)
        for old in _steps_in(self._eigenvectors, "safetensors"):
            if old not in (step, *self.steps()[-1:]):
                (self._eigenvectors / f"{old:08d}.safetensors").unlink()

    def eigenvectors(self) -> dict[str, Tensor]:
        """Read the eigenvectors of the last measured step, by operator; empty if none are kept.

        Warns
        -----
        UserWarning
            If their file is damaged; they only save products, and none are given.
        """
        for step in self.steps()[-1:]:
            path = self._eigenvectors / f"{step:08d}.safetensors"
            if path.exists():
                try:
                    return read_tensors(path, self._seal(step))[0]
                except DamagedFileError as damaged:
                    warnings.warn(f"eigenvectors {damaged}; none are used", stacklevel=2)
        return {}

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write `summary.json`, replacing an older one; NaN becomes null."""
        write_json(self._summary_file, summary, self._run_id)

    def summary(self) -> dict[str, Any] | None:
        """Read `summary.json`, None where it was not written yet.

        Raises
        ------
        ValueError
            If it is damaged.
        """
        if not self._summary_file.exists():
            return None
        remedy = "remove it, and the run's command writes it anew"
        return read_json(self._summary_file, remedy, self._run_id)

    def write_table(self, table: xr.Dataset) -> None:
        """Write `table.nc`, what a sweep gathered, replacing an older one."""
        write_snapshot(self._table_file, table, self._seal(None))

    def table(self) -> xr.Dataset:
        """Read `table.nc`.

        Raises
        ------
        ValueError
            If it is not there, damaged, or of another run.
        """
        try:
            return read_snapshot(self._table_file, self._seal(None))
        except DamagedFileError as damaged:
            raise DamagedFileError(f"{damaged}; the run's command writes it anew") from damaged

    def _config_with_id(self) -> dict[str, Any]:
        if not self._config_file.exists():
            raise FileNotFoundError(f"{self.path} is no run folder: it has no config.json")
        return read_json(
            self._config_file, "restore it, or name another folder; snapshots are not touched"
        )

    @cached_property
    def _run_id(self) -> str | None:
        """The random id of the run; None for one that an older version made."""
        return self._config_with_id().get(RUN_ID)

    def _seal(self, step: int | None) -> Seal:
        return Seal(self._run_id, step)

    def _is_right(self, step: int) -> bool:
        """Whether the snapshot of `step` is what was written; warns where it is not."""
        path = self._snapshot_file(step)
        try:
            stat = path.stat()
        except OSError:  # gone since it was listed
            return False
        state = (stat.st_size, stat.st_mtime_ns)
        if self._checked.get(path, ())[:2] != state:  # each state of a file is read once
            try:
                check_snapshot(path, self._seal(step))
                right = True
            except DamagedFileError as damaged:
                warnings.warn(f"snapshot {damaged}; it is left out", stacklevel=4)
                right = False
            self._checked[path] = (*state, right)
        return self._checked[path][2]

    @property
    def _config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def _summary_file(self) -> Path:
        return self.path / "summary.json"

    @property
    def _table_file(self) -> Path:
        return self.path / "table.nc"

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
    whole = (re.fullmatch(rf"([0-9]{{8,}})\.{suffix}", file.name) for file in folder.glob("*"))
    # A number has one name: 000000010 is none of ours.
    return sorted(int(match[1]) for match in whole if match and f"{int(match[1]):08d}" == match[1])
