"""Measurements along the training of a Lightning Trainer."""

from collections.abc import Sequence
from typing import Any

import xarray as xr

from landscope.integrations.extra import extra
from landscope.integrations.recording import Recording
from landscope.integrations.scalars import scalars

with extra("lightning"):
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.loggers import Logger


class LandscapeCallback(Recording, Callback):
    """Measure a LightningModule at chosen optimiser steps, into a run folder.

    The loop is not disturbed: the weights are those of a training without the callback, bit by
    bit. Steps are those of ``trainer.global_step``; the numbers of each snapshot also go to the
    Trainer's own loggers. A step that the run already has is not measured again.

    Parameters
    ----------
    problem
        What is measured, built from the module before training. Its ``forward`` gives logits, or
        the problem was given a ``forward=`` that gets them.
    run
        The run, or the path of its folder, made where absent.
    schedule
        Which steps to measure: a collection of steps, an int n (every n steps), or a function
        step → bool. 0 is before the first step.
    measure
        A function problem → Dataset; `landscope.measure` if absent.
    max_overhead
        The share of the time that measurements may take, as for `landscope.Recorder`.
    trackers
        Where snapshots are shown beside the loggers, such as a `TensorBoardTracker`.

    Attributes
    ----------
    recorder : Recorder or None
        That of the training in progress, or of the last one.

    Notes
    -----
    Only global rank zero measures, while the others wait for it; its weights must be whole, which
    sharded strategies do not keep.

    Each snapshot has the optimiser's learning rate and how far it is from the edge of stability.
    With several optimisers, or one that `landscope.stability` cannot read, it has not, and a
    warning says why. Of several, ``global_step`` counts the steps of each.

    Examples
    --------
    >>> import tempfile, torch, landscope as ls
    >>> from lightning.pytorch import LightningModule, Trainer
    >>> class Classifier(LightningModule):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layer = torch.nn.Linear(2, 3)
    ...     def forward(self, x):
    ...         return self.layer(x)
    ...     def training_step(self, batch):
    ...         return torch.nn.functional.cross_entropy(self(batch[0]), batch[1])
    ...     def configure_optimizers(self):
    ...         return torch.optim.SGD(self.parameters(), lr=0.1)
    >>> examples = torch.utils.data.TensorDataset(torch.ones(4, 2), torch.tensor([0, 1, 2, 0]))
    >>> module, data = Classifier(), torch.utils.data.DataLoader(examples, batch_size=4)
    >>> callback = LandscapeCallback(
    ...     ls.Problem(module, data),
    ...     tempfile.mkdtemp(),
    ...     schedule=2,
    ...     measure=lambda problem: xr.Dataset({"loss": float(problem.loss())}),
    ... )
    >>> quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    >>> quiet |= {"enable_checkpointing": False, "accelerator": "cpu"}
    >>> Trainer(max_steps=5, callbacks=[callback], **quiet).fit(module, data)
    >>> callback.recorder.run.steps()
    [0, 2, 4]
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure where training begins, after a checkpoint was restored."""
        if trainer.is_global_zero:
            loggers = _TrainerLoggers(trainer.loggers)
            self._begin(pl_module, trainer.global_step, trainer.optimizers, [loggers])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Measure after an optimiser step; a batch that only accumulates gradients makes none."""
        if trainer.is_global_zero:
            self._reach(pl_module, trainer.global_step)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the run: its last step was measured after its batch."""
        self._end()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Close the run of a training that failed or was interrupted."""
        self._end()


class _TrainerLoggers:
    """The loggers of a Trainer as a tracker of numbers; the Trainer closes them."""

    def __init__(self, loggers: Sequence[Logger]) -> None:
        self._loggers = loggers

    def log(self, step: int, snapshot: xr.Dataset) -> None:
        numbers = scalars(snapshot)
        for logger in self._loggers:
            logger.log_metrics(numbers, step)

    def close(self) -> None:
        pass
