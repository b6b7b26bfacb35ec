"""Train a network of the zoo and measure it on the way; go on where a killed run stopped."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import nn

from landscope import geometry
from landscope.hyperplanes import AffineHyperplane
from landscope.problem import Problem
from landscope.runs import Run
from landscope.training.batch_norm import calibrated
from landscope.training.config import TrainConfig
from landscope.training.descent import Descent
from landscope.training.measured_by import measured_by
from landscope.training.recorder import Measure, Recorder
from landscope.training.schedule import measuring_steps
from landscope.zoo import ClassificationData, load_dataset, make_network

Progress = Callable[[int, int, str], None]
"""Called as progress(step, num_steps, doing), doing being "training" or "measuring"."""


def train(
    config: TrainConfig,
    out: str | Path,
    progress: Progress | None = None,
    *,
    measure: Measure | None = None,
    measured: Mapping[str, str] | None = None,
) -> Run:
    """Train and measure; on a folder that already has part of this run, go on from there.

    The state is kept before each measurement and every `checkpoint_every` steps, and mini-batches
    depend on (seed, step) alone, so a killed run that is started again on the same machine ends
    with the very weights of one that was not.

    Parameters
    ----------
    config
        What to train, how, and when to measure.
    out
        The run folder.
    progress
        Called at each step as progress(step, num_steps, doing), with doing "training" or
        "measuring".
    measure
        A function problem → Dataset in place of `landscope.measure` with the options of `config`.
    measured
        What tells `measure` from others; `measured_by(measure)` if absent.

    Returns
    -------
    Run
        With a snapshot of each scheduled step; its last checkpoint holds the trained weights
        under "model.NAME".

    Raises
    ------
    ValueError
        If `out` holds a run with another configuration, of other data or with another `measure`.
    NonFiniteError
        If the mini-batch loss becomes NaN or infinite; what was measured before is kept.

    See Also
    --------
    landscope.Recorder : the same measurements in a training loop of your own.
    """
    data = _data(config, config.train_examples, config.test_examples)
    problem = measured_problem(config)
    batches = (batch.data for batch in problem.batches)
    model = calibrated(initial_network(config, data), batches)
    if config.hyperplane.dim is not None:
        kind, seed = config.hyperplane.kind, config.seed
        here = problem.at(model)
        model = AffineHyperplane(here, config.hyperplane.dim, kind, seed).model()
    about = {**config.identity(), "problem": problem.identity(weights=False)}
    if measure is not None:
        about["measured"] = dict(measured or measured_by(measure))
    with Run.create(out, about) as run:
        return _follow(Descent(model, data, config), problem, run, progress, measure)


def measured_problem(config: TrainConfig) -> Problem:
    """Give the initial network on the examples that a run measures."""
    measured = _data(config, config.measure_examples, 1)
    return Problem(initial_network(config, measured).eval(), measured.train)


def _data(
    config: TrainConfig, examples: int | None, test_examples: int | None
) -> ClassificationData:
    return load_dataset(
        config.data,
        config.data_root,
        classes=config.classes,
        max_examples=examples,
        max_test_examples=test_examples,
        seed=config.seed,
    )


def initial_network(config: TrainConfig, data: ClassificationData) -> nn.Module:
    """Give the network that a run on `data` starts from, in training mode."""
    network = make_network(
        config.network,
        data.input_shape,
        data.num_classes,
        nonlinearity=config.nonlinearity,
        normalization=config.normalization,
        width=config.width,
        seed=config.seed,
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(config.radius)
    return network.to(config.device)


def _follow(
    descent: Descent,
    problem: Problem,
    run: Run,
    progress: Progress | None,
    measure: Measure | None,
) -> Run:
    config = descent.config
    schedule = measuring_steps(config.steps, config.num_measurements)
    start = _resume(descent, run, schedule)
    show = progress or (lambda step, num_steps, doing: None)
    # A measurement of the caller's own is all that is measured; θ is not what stability is read of.
    monitored = measure is None and config.hyperplane.dim is None
    optimizer = descent.optimizer if monitored else None
    measure = measure or partial(geometry.measure, seed=config.seed, **config.measure.model_dump())
    with Recorder(problem, run, schedule, measure, optimizer=optimizer) as recorder:
        for step in range(start, config.steps + 1):
            due = recorder.due(step)
            show(step, config.steps, "measuring" if due else "training")
            scalars = descent.scalars(step) if due else None
            at_rest = step % config.checkpoint_every == 0 or step == config.steps
            if due or (step > start and at_rest):
                run.write_checkpoint(step, *descent.state())
            descent.set_learning_rate(step)
            recorder.step(descent.model, step, scalars)
            if step < config.steps:
                descent.update(step)
    return run


def _resume(descent: Descent, run: Run, schedule: list[int]) -> int:
    """Restore the last state from which every missing measurement can still be reached."""
    done = set(run.steps())
    first_missing = next((step for step in schedule if step not in done), schedule[-1])
    checkpoint = run.latest_checkpoint(no_later_than=first_missing)
    if checkpoint is None:
        return 0
    descent.restore(checkpoint)
    return checkpoint.step
