"""Fig. 4: logits, logit gradients and weights grow with training, and logits with the radius."""

import numpy as np
import xarray as xr

from landscope.experiments.claim import Claim, course, verdict
from landscope.experiments.networks import measurements
from landscope.experiments.networks.cell import POINTS, Cell
from landscope.experiments.networks.gathered import gathered
from landscope.experiments.networks.grid import Grid
from landscope.experiments.networks.scale import DATA_TITLES, Scale
from landscope.experiments.progress import Progress, silent

QUANTITIES = (
    "sigma_z",
    "logit_gradient_norm",
    "logit_gradient_norm_std",
    "weight_norm",
    "entropy",
    "participation",
    "test_accuracy",
)
_SPREAD = {"sigma_z": "σ_z", "logit_gradient_norm": "‖J_k‖", "weight_norm": "‖W‖"}


def compute(seed: int = 0, progress: Progress = silent, *, grid: Grid, scale: Scale) -> xr.Dataset:
    """Follow a SmallCNN through training, and out along the radius from its initialisation.

    Returns
    -------
    xarray.Dataset
        Spreads and lengths along (seed, training_step); `radius_sigma_z` and `radius_entropy` along
        (seed, radius), radii in units of the initial weight norm. There is no weight decay.
    """
    radii = tuple(np.geomspace(0.1, 10, 2 * scale.num_radii - 1).tolist())
    cells = [
        Cell(
            scale.training(scale.colour, num_measurements=2 * scale.num_measurements, seed=at),
            measurements.clustering,
            radii,
            points=POINTS[:1],
        )
        for at in scale.seeds(seed)
    ]
    trained = grid.trained(cells, progress)
    along = {(one.cell.training.seed,): one.trajectory() for one in trained}
    outwards = {(one.cell.training.seed,): one.scaled(POINTS[0]) for one in trained}
    radial = gathered(outwards, ["seed"], ["sigma_z", "entropy", "logit_gradient_norm"])
    return xr.merge(
        [
            gathered(along, ["seed"], QUANTITIES),
            radial.rename({name: f"radius_{name}" for name in radial.data_vars}),
        ]
    ).assign_attrs(
        num_classes=10,
        data_title=DATA_TITLES[scale.colour],
        network_title="SmallCNN, relu",
        weight_decay=0.0,
    )


def claims(dataset: xr.Dataset) -> list[Claim]:
    """Hold the growth of each quantity."""
    growing = [
        _grows(f"Paper: {symbol} grows with training time.", dataset[name], "training_step")
        for name, symbol in _SPREAD.items()
    ]
    return [
        *growing,
        _grows(
            "Paper: σ_z grows with the weight radius at initialisation, without training.",
            dataset["radius_sigma_z"],
            "radius",
        ),
    ]


def _grows(statement: str, values: xr.DataArray, along: str) -> Claim:
    first, last = (values.isel({along: place}) for place in (0, -1))
    rises = values.diff(along) > 0
    above = last > first
    means = values.mean("seed").isel({along: [0, -1]}).values
    return Claim(
        statement,
        verdict(bool(above.all()) and float(rises.mean()) > 0.8, bool(above.any())),
        f"{course(means, '.3g')}, mean of {values.sizes['seed']} seeds; it rises in "
        f"{int(rises.sum())} of {rises.size} intervals between measured points",
    )
