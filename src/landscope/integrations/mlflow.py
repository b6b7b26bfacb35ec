"""Snapshots in MLflow."""

import time
from os import PathLike

import xarray as xr

from landscope.arguments import shown
from landscope.integrations.extra import extra
from landscope.integrations.histograms import histograms
from landscope.integrations.pictures import pictures
from landscope.integrations.scalars import scalars

with extra("mlflow"):
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    from mlflow.exceptions import MlflowException


class MLflowTracker:
    """Log every snapshot of a Recorder to MLflow: numbers, spectra and pictures.

    Parameters
    ----------
    run_id
        A run to log to, which is left open. Without one, a run of its own is opened at the first
        snapshot.
    experiment
        The experiment of that run, made where absent; "landscope" if not given.
    tracking_uri
        Where runs are kept; by default where MLflow keeps them.

    Raises
    ------
    ValueError
        If both `run_id` and `experiment` are given, or MLflow cannot keep runs where it is told to
        or does by default: its database needs the whole package, mlflow-skinny writes to servers.

    Notes
    -----
    MLflow knows no histograms: a spectrum becomes a JSON file of its counts and edges, as the
    artifact ``landscope/hessian_spectrum/<step>.json``.

    Examples
    --------
    >>> tracker = MLflowTracker(experiment="digits", tracking_uri="http://localhost:5000")
    >>> # with Recorder(problem, run, schedule=100, trackers=[tracker]) as recorder: ...
    >>> tracker.close()
    """

    def __init__(
        self,
        run_id: str | None = None,
        *,
        experiment: str | None = None,
        tracking_uri: str | PathLike[str] | None = None,
    ) -> None:
        if run_id is not None and experiment is not None:
            raise ValueError(
                f"experiment is {experiment!r}; the run {run_id} has an experiment already: give "
                "one of the two"
            )
        self._given = run_id
        self._experiment = experiment or "landscope"
        if not isinstance(tracking_uri, str | PathLike | None):
            raise TypeError(
                f"tracking_uri is {shown(tracking_uri)}; it must be an address or a path"
            )
        try:
            self._client = MlflowClient(None if tracking_uri is None else str(tracking_uri))
            if run_id is not None:
                self._client.get_run(run_id)
        except MlflowException as refusal:
            raise ValueError(_said_of(refusal, tracking_uri, run_id)) from refusal
        self._run_id = run_id

    def log(self, step: int, snapshot: xr.Dataset) -> None:
        """Log a snapshot."""
        run_id = self._run_id = self._run_id or self._opened()
        now = int(1000 * time.time())
        metrics = [Metric(name, value, now, step) for name, value in scalars(snapshot).items()]
        self._client.log_batch(run_id, metrics)
        for name, histogram in histograms(snapshot).items():
            spectrum = {"counts": histogram.counts.tolist(), "edges": histogram.edges.tolist()}
            self._client.log_dict(run_id, spectrum, f"{name}/{step:08}.json")
        for name, image in pictures(step, snapshot).items():
            self._client.log_image(run_id, image, key=name, step=step)

    def close(self) -> None:
        """Mark the run as finished, if the tracker opened it."""
        if self._run_id is not None and self._given is None:
            self._client.set_terminated(self._run_id)
            self._run_id = None

    def _opened(self) -> str:
        experiment = self._client.get_experiment_by_name(self._experiment)
        experiment_id = (
            self._client.create_experiment(self._experiment)
            if experiment is None
            else experiment.experiment_id
        )
        return self._client.create_run(experiment_id).info.run_id


def _said_of(refusal: Exception, tracking_uri: object, run_id: str | None) -> str:
    """What MLflow could not do, in a sentence, and what it could."""
    reason = " ".join(str(refusal).split()).split(". ")[0].rstrip(".")
    where = "by default" if tracking_uri is None else f"at {tracking_uri}"
    if "not found" in reason.lower():
        return f"run_id is {shown(run_id)}, which MLflow does not have {where}: {reason}"
    return (
        f"MLflow cannot keep runs {where} ({reason}); give tracking_uri= of a server, or of a "
        "folder with MLFLOW_ALLOW_FILE_STORE=true in the environment, or install mlflow for its "
        "database"
    )
