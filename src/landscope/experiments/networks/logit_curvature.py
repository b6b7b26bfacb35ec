"""Weakness of the logits' curvature, against the stage of training and the width."""

from itertools import product

import xarray as xr

from landscope.experiments.claim import Claim, course, verdict
from landscope.experiments.networks import measurements
from landscope.experiments.networks.cell import Cell, Trained
from landscope.experiments.networks.gathered import gathered
from landscope.experiments.networks.grid import Grid
from landscope.experiments.networks.scale import (
    DATA_TITLES,
    FULLY_CONNECTED,
    NETWORK_TITLES,
    SMALL_CNN,
    Scale,
)
from landscope.experiments.progress import Progress, silent

NETWORKS = (FULLY_CONNECTED, SMALL_CNN)

WEAK = 0.5
"""Below which ‖R‖/‖G‖ counts as weak: the paper does not say."""

QUANTITIES = (
    "ratio",
    "ratio_stderr",
    "gauss_newton_share",
    "top_ratio",
    "kernel_drift",
    "num_params",
    "test_accuracy",
)


def compute(seed: int = 0, progress: Progress = silent, *, grid: Grid, scale: Scale) -> xr.Dataset:
    """Train networks of several widths, and measure R beside G at four stages.

    Returns
    -------
    xarray.Dataset
        ‖R‖_F/‖G‖_F, shares of eigenvalues and drifts along (network, width, stage, seed).
    """
    places = list(product(NETWORKS, scale.widths, scale.seeds(seed)))
    cells = [
        Cell(
            scale.training(
                scale.wide,
                network,
                width=width,
                measure_examples=scale.wide_examples,
                seed=at,
            ),
            measurements.split,
        )
        for network, width, at in places
    ]
    measured = {
        (NETWORK_TITLES[network], *rest): _split(trained)
        for (network, *rest), trained in zip(places, grid.trained(cells, progress), strict=True)
    }
    return (
        gathered(measured, ("network", "width", "seed"), QUANTITIES)
        .assign(stage_step=("stage", cells[0].steps()))
        .assign_attrs(num_classes=10, data_title=DATA_TITLES[scale.wide])
    )


def _split(trained: Trained) -> xr.Dataset:
    measured = trained.staged()
    return measured.assign(
        kernel_drift=measured["tangent_kernel_drift"],
        num_params=measured["num_params"].max("stage"),
    )


def claims(dataset: xr.Dataset) -> list[Claim]:
    """Hold the weakness of R, and its fall with width."""
    ratio = dataset["ratio"].mean("seed")
    weak = ratio < WEAK
    drift = dataset["kernel_drift"].mean("seed").sel(stage="late")
    widths = [float(width) for width in dataset["width"].values]
    falls = ratio.isel(width=-1) < ratio.isel(width=0)
    drift_falls = drift.isel(width=-1) < drift.isel(width=0)
    return [
        Claim(
            f"Paper: the logits' curvature is weak (‖R‖_F < {WEAK:g} ‖G‖_F) at every stage.",
            verdict(bool(weak.all()), bool(weak.any())),
            _by_network(ratio.isel(width=0), "stage"),
        ),
        Claim(
            "Tangent-kernel limit: ‖R‖_F/‖G‖_F falls as the network widens.",
            verdict(bool(falls.all()), bool(falls.any())),
            f"width ×{widths[0]:g} → ×{widths[-1]:g}: "
            + "; ".join(
                f"{stage}: {_by_network(ratio.sel(stage=stage), 'width')}"
                for stage in ("initialisation", "late")
            ),
        ),
        Claim(
            "Tangent-kernel limit: the kernel drifts less as the network widens.",
            verdict(bool(drift_falls.all()), bool(drift_falls.any())),
            f"‖K − K₀‖/‖K₀‖ at the end: {_by_network(drift, 'width')}",
        ),
    ]


def _by_network(values: xr.DataArray, along: str) -> str:
    return "; ".join(
        f"{network}: {course(values.sel(network=network).transpose(along).values, '.2g')}"
        for network in values["network"].values
    )
