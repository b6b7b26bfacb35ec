"""The demonstration: a small CNN on digits, measured from its first step to its last."""

from functools import partial
from pathlib import Path

from landscope.experiments.model_fit import measure_and_fit
from landscope.experiments.threads import on_threads
from landscope.runs import Run
from landscope.training import MeasureConfig, TrainConfig, train
from landscope.training.trainer import Progress


def demo(
    out: str | Path, *, seed: int = 0, device: str = "cpu", progress: Progress | None = None
) -> Run:
    """Train a SmallCNN on scikit-learn's digits, measure it and fit the random model, seven times.

    Parameters
    ----------
    out : path
        Run folder; the same call again resumes it.
    seed : int
        Seed of the weights, the mini-batches and the measurements.
    device : str
        Where to compute.
    progress : callable, optional
        Called as progress(step, num_steps, doing).

    Returns
    -------
    Run
    """
    with on_threads(1):
        config = demo_config(seed=seed, device=device)
        measure = partial(measure_and_fit, seed=seed, **config.measure.model_dump())
        return train(config, out, progress, measure=measure)


def demo_config(*, seed: int = 0, device: str = "cpu") -> TrainConfig:
    """Return what the demonstration trains and when it measures."""
    return TrainConfig(
        data="digits",
        network="small_cnn",
        steps=250,
        batch_size=64,
        optimizer="sgd",
        learning_rate=0.02,
        momentum=0.9,
        num_measurements=7,
        measure_examples=200,
        # Coarser than the defaults, for the sake of time: the error bands say by how much.
        # Sixteen eigenvalues are ten outliers and the six that the bulk's edge is fitted to.
        measure=MeasureConfig(num_eigenvalues=16, num_probes=4, num_steps=40, tol=1e-3),
        seed=seed,
        device=device,
    )
