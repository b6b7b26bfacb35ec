"""Measurements along the training of a Hugging Face Trainer."""

from typing import Any

from landscope.integrations.extra import extra
from landscope.integrations.recording import Recording

with extra("transformers"):
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class LandscapeCallback(Recording, TrainerCallback):
    """Measure the model of a Hugging Face Trainer at chosen optimiser steps, into a run folder.

    The loop is not disturbed: the weights are those of a training without the callback, bit by
    bit. Steps are those of ``state.global_step``. A step that the run already has is not measured
    again.

    Parameters
    ----------
    problem
        What is measured, built from the model before training; its batches are mappings such as
        the Trainer's own.
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
        Where snapshots are shown, such as a `WandbTracker`.

    Attributes
    ----------
    recorder : Recorder or None
        That of the training in progress, or of the last one.

    Notes
    -----
    Only world process zero measures, while the others wait for it; its weights must be whole, which
    sharded strategies do not keep.

    Each snapshot has the optimiser's learning rate and how far it is from the edge of stability.
    With an optimiser that `landscope.stability` cannot read it has not, and a warning says why.

    Examples
    --------
    >>> import tempfile, torch, xarray as xr, landscope as ls
    >>> from transformers import GPT2Config, GPT2LMHeadModel, Trainer
    >>> shape = {"vocab_size": 17, "n_positions": 8, "n_embd": 4, "n_layer": 1, "n_head": 2}
    >>> model = GPT2LMHeadModel(GPT2Config(**shape))
    >>> tokens = torch.arange(40).reshape(5, 8) % 17
    >>> data = [{"input_ids": row, "labels": row} for row in tokens]
    >>> callback = LandscapeCallback(
    ...     ls.Problem(model.eval(), [{"input_ids": tokens, "labels": tokens}]),
    ...     tempfile.mkdtemp(),
    ...     schedule=2,
    ...     measure=lambda problem: xr.Dataset({"loss": float(problem.loss())}),
    ... )
    >>> arguments = TrainingArguments(
    ...     tempfile.mkdtemp(), max_steps=2, use_cpu=True, report_to="none", disable_tqdm=True
    ... )
    >>> _ = Trainer(model, arguments, train_dataset=data, callbacks=[callback]).train()
    {'train_runtime': ...}
    >>> callback.recorder.run.steps()
    [0, 2]
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure where training begins, after a checkpoint was restored."""
        if state.is_world_process_zero:
            self._begin(kwargs["model"], state.global_step, [kwargs["optimizer"]])

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure after an optimiser step."""
        if state.is_world_process_zero:
            self._reach(kwargs["model"], state.global_step)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Close the run: its last step was measured, and the model may now be an earlier one."""
        self._end()
