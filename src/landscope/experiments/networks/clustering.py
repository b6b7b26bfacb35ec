"""Fig. 1: clustering of logit gradients over data sets, networks, nonlinearities and stages."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import xarray as xr

from landscope.experiments.claim import Claim, verdict
from landscope.experiments.networks import measurements
from landscope.experiments.networks.cell import Cell
from landscope.experiments.networks.gathered import gathered, said_of
from landscope.experiments.networks.grid import Grid
from landscope.experiments.networks.scale import DATA_TITLES, NETWORK_TITLES, Scale
from landscope.experiments.progress import Progress, silent

NONLINEARITIES = ("relu", "tanh")
QUANTITIES = ("q_slsc", "q_sl", "q_dl", "q_dl_abs", "accuracy", "test_accuracy", "loss")

MUCH = 3.0
"""How many times larger is "much larger": the paper does not say."""

NEAR_ZERO = 0.1
"""What is "about zero" for a mean cosine: the paper does not say."""


def compute(
    seed: int = 0,
    progress: Progress = silent,
    *,
    grid: Grid,
    scale: Scale,
    datasets: Sequence[str] = (),
) -> xr.Dataset:
    """Train every network of the grid, and measure its clustering at four stages.

    Parameters
    ----------
    datasets : sequence of str
        Instead of those of `scale`.

    Returns
    -------
    xarray.Dataset
        Mean cosines along (data, network, nonlinearity, stage, seed).
    """
    choices = (datasets or scale.datasets, NETWORK_TITLES, NONLINEARITIES, scale.seeds(seed))
    places = list(product(*choices))
    cells = [
        Cell(
            scale.training(
                data,
                network,
                nonlinearity=nonlinearity,
                measure_examples=scale.few_examples,
                seed=at,
            ),
            measurements.clustering,
        )
        for data, network, nonlinearity, at in places
    ]
    measured = {
        (DATA_TITLES[data], NETWORK_TITLES[network], *rest): trained.staged()
        for (data, network, *rest), trained in zip(
            places, grid.trained(cells, progress), strict=True
        )
    }
    cosines = gathered(measured, ("data", "network", "nonlinearity", "seed"), QUANTITIES)
    steps = {cell.training.network: cell.steps() for cell in cells}
    return cosines.assign(stage_step=(("network", "stage"), list(steps.values()))).assign_attrs(
        num_classes=10, num_examples=scale.few_examples
    )


def claims(dataset: xr.Dataset) -> list[Claim]:
    """Hold the ordering against every cell of the grid, seeds averaged."""
    q = dataset.mean("seed")
    tighter = q["q_slsc"] >= q["q_sl"]
    signed = q["q_sl"] > MUCH * abs(q["q_dl"])
    sized = q["q_sl"] > MUCH * q["q_dl_abs"]
    near_zero = abs(q["q_dl"]) < NEAR_ZERO
    return [
        _in_every_cell(
            "Paper: q_SLSC ≥ q_SL in every cell.",
            tighter,
            "their difference",
            q["q_slsc"] - q["q_sl"],
        ),
        _in_every_cell(
            f"Paper: q_SL ≫ |q_DL| in every cell (more than {MUCH:g} times as large).",
            signed,
            "their ratio",
            q["q_sl"] / abs(q["q_dl"]),
        ),
        _in_every_cell(
            "Beyond the paper: the same against the mean size |q_kl|, which cannot cancel.",
            sized,
            "their ratio",
            q["q_sl"] / q["q_dl_abs"],
        ),
        _in_every_cell(
            f"Paper: q_DL ≈ 0 in every cell (|q_DL| < {NEAR_ZERO:g}).",
            near_zero,
            "|q_DL|",
            abs(q["q_dl"]),
        ),
    ]


def _in_every_cell(statement: str, holds: xr.DataArray, what: str, size: xr.DataArray) -> Claim:
    measured = np.isfinite(size)
    holds = holds | ~measured
    failing = list(said_of(holds))
    count = int(measured.sum())
    spread = f"{what} from {float(size.min()):.3g} to {float(size.max()):.3g}"
    said = f"{count - len(failing)} of {count} cells; {spread}"
    if failing:
        said += f"; not in: {'; '.join(failing)}"
    return Claim(statement, verdict(not failing, 2 * len(failing) < count), said)
