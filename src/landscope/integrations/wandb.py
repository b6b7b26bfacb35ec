"""Snapshots in Weights & Biases."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

import xarray as xr

from landscope.integrations.extra import extra
from landscope.integrations.histograms import histograms
from landscope.integrations.pictures import pictures
from landscope.integrations.scalars import scalars

with extra("wandb"):
    import wandb

_STEP = "landscope/step"


class WandbTracker:
    """Log every snapshot of a Recorder to Weights & Biases: numbers, spectra and pictures.

    Parameters
    ----------
    run
        A run to log to, which is left open. Without one, a run of its own is opened at the first
        snapshot.
    **init
        Of `wandb.init` for that run, such as ``project="digits"`` or ``mode="offline"``.

    Raises
    ------
    TypeError
        If `run` is no run, or is given beside arguments for another, or `wandb.init` does not take
        one of these.
    ValueError
        If a run is to be opened online, and nobody has logged in: W&B would ask amid training.

    Notes
    -----
    W&B numbers the rows of a run's history and drops what comes for an earlier row. So all that is
    logged here is drawn over ``landscope/step``, and joins the row that is open: the caller's own
    rows keep their numbers. A row is closed here only where the caller has logged nothing since the
    last snapshot.

    Examples
    --------
    >>> tracker = WandbTracker(project="digits", mode="disabled")
    >>> tracker.log(0, xr.Dataset({"loss": 2.3}))  # a Recorder with trackers=[tracker] does it
    >>> tracker.close()
    """

    def __init__(self, run: "wandb.Run | None" = None, **init: Any) -> None:
        if not isinstance(run, wandb.Run | None):
            raise TypeError(
                f"run is {run!r}; accepted are a run of wandb.init, or its arguments by name, such "
                "as project="
            )
        if run is not None and init:
            raise TypeError(f"run is given, and so are {', '.join(init)}, which are for another")
        accepted = signature(wandb.init).parameters
        if unknown := set(init) - set(accepted):
            raise TypeError(
                f"{', '.join(sorted(unknown))} is no argument of wandb.init, which takes "
                f"{', '.join(accepted)}"
            )
        if run is None and _would_ask_for_a_key(init):
            raise ValueError(
                "no API key of W&B is configured: call wandb login in a terminal, set "
                'WANDB_API_KEY, or give mode="offline", which keeps the run here for wandb sync'
            )
        self._given = run
        self._init = init
        self._run: wandb.Run | None = None
        self._row = -1

    def log(self, step: int, snapshot: xr.Dataset) -> None:
        """Log a snapshot."""
        run = self._opened()
        if run.step == self._row:  # still the row of the last snapshot
            run.log({}, commit=True)
        spectra = {
            name: wandb.Histogram(np_histogram=(histogram.counts, histogram.edges))
            for name, histogram in histograms(snapshot).items()
        }
        images = {name: wandb.Image(image) for name, image in pictures(step, snapshot).items()}
        run.log({_STEP: step, **scalars(snapshot), **spectra, **images}, commit=False)
        self._row = run.step

    def close(self) -> None:
        """Finish the run, if the tracker opened it."""
        if self._run is not None and self._given is None:
            self._run.finish()
        self._run, self._row = None, -1

    def _opened(self) -> "wandb.Run":
        if self._run is None:
            # By default W&B would give back, or finish, another run of this process.
            self._run = self._given or wandb.init(**{"reinit": "create_new", **self._init})
            self._run.define_metric(_STEP, hidden=True)
            self._run.define_metric("landscope/*", step_metric=_STEP)
        return self._run


def _would_ask_for_a_key(init: Mapping[str, Any]) -> bool:
    """Whether a run opened with these arguments needs a login that is not there."""
    if init.get("settings") is not None:  # they may say anything of it
        return False
    if (init.get("mode") or wandb.setup().settings.mode) in ("offline", "disabled", "dryrun"):
        return False
    if "prompt" in signature(wandb.login).parameters:
        return not wandb.login(prompt=False)
    return not wandb.api.api_key
