"""How logits and logit gradients of a network grow together along training."""

from pathlib import Path

import numpy as np
import xarray as xr

from landscope.experiments.progress import Progress, silent
from landscope.geometry import class_probabilities, logit_clustering
from landscope.problem import Problem
from landscope.runs import Run
from landscope.training import TrainConfig, train


def network_growth(
    network: str | Path | None, out: Path, seed: int = 0, progress: Progress = silent
) -> xr.Dataset:
    """Read σ_z, σ_c and σ_E along training, of a given run or of a SmallCNN trained for it.

    Parameters
    ----------
    network : path, optional
        Run folder that `landscope train` or `landscope demo` wrote.
    out : Path
        Where to train, if no run is given: a SmallCNN on digits for 300 steps.
    seed : int
        Of the training.
    progress : callable
        Called as progress(done, total, doing).

    Returns
    -------
    xarray.Dataset
        sigma_z, sigma_c and sigma_e along `training_step`.

    Raises
    ------
    ValueError
        If the run has fewer than three steps, or did not measure them.
    """
    if network is None:
        config = TrainConfig(
            steps=300, learning_rate=0.02, num_measurements=14, measure_examples=200, seed=seed
        )
        run = train(config, out, progress, measure=_spreads)
    else:
        run = Run.open(network)
    trajectory = run.trajectory()
    names = ("sigma_z", "sigma_c", "sigma_e")
    if absent := [name for name in names if name not in trajectory]:
        raise ValueError(
            f"the run {run.path} lacks {', '.join(absent)}; measure them along training"
        )
    if trajectory.sizes["step"] < 3:
        raise ValueError(
            f"the run {run.path} has {trajectory.sizes['step']} measured steps; a fit needs three"
        )
    # A snapshot has a step of its own.
    return trajectory[list(names)].rename(step="training_step")


def growth_exponent(growth: xr.Dataset) -> tuple[float, float]:
    """Fit σ_c² ∝ σ_z^β along training by least squares of the logarithms.

    Returns
    -------
    exponent, stderr : float
        β, and its standard error from the scatter around the line: steps of one training are no
        independent measurements, so this is a lower bound.

    Examples
    --------
    >>> x = np.array([0.1, 1.0, 10.0])
    >>> grown = xr.Dataset({"sigma_z": ("step", x), "sigma_c": ("step", 3 * x**0.4)})
    >>> round(growth_exponent(grown)[0], 6)
    0.8
    """
    x, y = np.log(growth["sigma_z"].values), 2 * np.log(growth["sigma_c"].values)
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    residual = y - y.mean() - slope * x
    return slope, float(np.sqrt(residual @ residual / max(len(x) - 2, 1) / (x @ x)))


def _spreads(problem: Problem) -> xr.Dataset:
    clusters = logit_clustering(problem)
    return xr.Dataset(
        {
            "sigma_z": float(class_probabilities(problem).sigma_z),
            "sigma_c": clusters.sigma_c,
            "sigma_e": clusters.sigma_e,
        }
    )
