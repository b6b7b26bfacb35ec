"""Fig. 3a: the probabilities of a network of three classes, along its training."""

import numpy as np
import xarray as xr

from landscope.experiments.claim import Claim, course, verdict
from landscope.experiments.networks import measurements
from landscope.experiments.networks.cell import Cell
from landscope.experiments.networks.clusters import CLASSES, class_names
from landscope.experiments.networks.grid import Grid
from landscope.experiments.networks.scale import DATA_TITLES, Scale
from landscope.experiments.progress import Progress, silent

TRACKED_PER_CLASS = 2
_MEASUREMENTS_PER_STAGE = 3


def compute(seed: int = 0, progress: Progress = silent, *, grid: Grid, scale: Scale) -> xr.Dataset:
    """Follow the probabilities of all measured examples through the training of a SmallCNN.

    Returns
    -------
    xarray.Dataset
        `probability` along (training_step, example, logit), entropy and accuracy along
        `training_step`.
    """
    cell = Cell(
        scale.training(
            scale.colour,
            classes=CLASSES,
            num_measurements=_MEASUREMENTS_PER_STAGE * scale.num_measurements,
            measure_examples=2 * scale.num_examples,
            seed=seed,
        ),
        measurements.probabilities,
    )
    (trained,) = grid.trained([cell], progress)
    measured = trained.trajectory()
    steps = measured["training_step"].values
    target = measured["targets"].isel(training_step=0).astype(int).drop_vars("training_step")
    kept = ["entropy", "entropy_stderr", "participation", "accuracy", "test_accuracy", "sigma_z"]
    return (
        measured[kept]
        .assign(
            probability=measured["probabilities"],
            target=target,
            class_name=("logit", class_names(scale.colour, grid)),
        )
        .assign_attrs(
            num_classes=len(CLASSES),
            data_title=DATA_TITLES[scale.colour],
            network_title="SmallCNN, relu",
            # The first step at which something has moved, the middle one on the scale of
            # logarithms, and the last.
            shown_steps=[int(steps[place]) for place in (0, 2 * len(steps) // 3, -1)],
            tracked=_tracked(target.values),
        )
    )


def _tracked(target: np.ndarray) -> list[int]:
    """The first examples of each class."""
    return [
        int(example)
        for k in range(len(CLASSES))
        for example in np.flatnonzero(target == k)[:TRACKED_PER_CLASS]
    ]


def claims(dataset: xr.Dataset) -> list[Claim]:
    """Hold the motion to the corners and the fall of the entropy."""
    entropy = dataset["entropy"].values
    largest = dataset["probability"].max("logit")
    in_corner = (largest > 0.9).mean("example").values
    shown = dataset["training_step"].isin(dataset.attrs["shown_steps"]).values
    falling = np.diff(entropy) < 2 * dataset["entropy_stderr"].values[1:]
    said = course(entropy[shown], ".3f")
    corners = course(in_corner[shown], ".2f")
    return [
        Claim(
            "Paper: probabilities start near the centre of the simplex and move to its corners.",
            verdict(in_corner[0] < 0.1 and in_corner[-1] > 0.5, in_corner[-1] > in_corner[0]),
            f"share of examples with a probability above 0.9: {corners}",
        ),
        Claim(
            "Paper: their entropy falls along training.",
            verdict(bool(falling.all()), bool(entropy[-1] < entropy[0])),
            f"{said} nats (ln 3 = 1.099); {int(falling.sum())} of {len(falling)} measured steps "
            "fall, to within two standard errors",
        ),
    ]
