"""Weight scale beside training time: the geometry along the weight radius."""

import numpy as np
import xarray as xr

from landscope.experiments.claim import Claim, course, verdict
from landscope.experiments.networks import measurements
from landscope.experiments.networks.cell import POINTS, Cell
from landscope.experiments.networks.gathered import gathered
from landscope.experiments.networks.grid import Grid
from landscope.experiments.networks.scale import DATA_TITLES, Scale
from landscope.experiments.progress import Progress, silent

_FARTHEST = 4.0
"""Radii reach from its inverse to this multiple of the weights."""

NEAR = 1.25
"""To what factor eigenvalues of size σ_c² (1 − E[Y])/(C − 1) are as expected."""

QUANTITIES = (
    "sigma_z",
    "entropy",
    "lambda_max",
    "gauss_newton_lambda_max",
    "relative_lambda_max",
    "relative_mean_outlier",
    "expected_mean_outlier",
    "num_outliers",
    "gauss_newton_num_outliers",
    "top_power",
    "q_slsc",
    "q_sl",
    "q_dl",
    "trace_over_norm",
    "weight_norm",
    "accuracy",
)


def compute(seed: int = 0, progress: Progress = silent, *, grid: Grid, scale: Scale) -> xr.Dataset:
    """Scale the weights of a SmallCNN, before and after training, and measure it all the way.

    Returns
    -------
    xarray.Dataset
        `QUANTITIES` along (point, radius, seed), and with the prefix `training_` along
        (training_step, seed).
    """
    radii = tuple(np.geomspace(1 / _FARTHEST, _FARTHEST, scale.num_radii).tolist())
    cells = [
        Cell(
            scale.training(
                scale.grey,
                num_measurements=scale.num_measurements,
                measure_examples=scale.few_examples,
                seed=at,
            ),
            measurements.weight_scale,
            radii,
        )
        for at in scale.seeds(seed)
    ]
    trained = grid.trained(cells, progress)
    radial = gathered(
        {
            (point, one.cell.training.seed): _geometry(one.scaled(point))
            for point in POINTS
            for one in trained
        },
        ["point", "seed"],
        QUANTITIES,
    )
    along = gathered(
        {(one.cell.training.seed,): _geometry(one.trajectory()) for one in trained},
        ["seed"],
        QUANTITIES,
    )
    return xr.merge(
        [radial, along.rename({name: f"training_{name}" for name in along.data_vars})]
    ).assign_attrs(
        num_classes=10, data_title=DATA_TITLES[scale.grey], network_title="SmallCNN, relu"
    )


def _geometry(measured: xr.Dataset) -> xr.Dataset:
    C = int(measured["num_classes"].max())
    G = measured["gauss_newton_eigenvalues"]
    unit = measured["sigma_c"] ** 2
    return measured.assign(
        lambda_max=measured["hessian_eigenvalues"].isel(rank=0),
        gauss_newton_lambda_max=G.isel(rank=0),
        relative_lambda_max=G.isel(rank=0) / unit,
        relative_mean_outlier=G.isel(rank=slice(C - 1)).mean("rank") / unit,
        # E[M] = (1 − E[Y])/(C − 1)·(I − 11ᵀ/C), so that G has as many eigenvalues of this size.
        expected_mean_outlier=(1 - measured["participation"]) / (C - 1),
        num_outliers=measured["hessian_num_outliers"],
        top_power=measured["hessian_gradient_power"].isel(rank=C - 1),
        trace_over_norm=measured["hessian_trace_over_norm"],
    )


def claims(dataset: xr.Dataset) -> list[Claim]:
    """Hold each property along the radius, as the abstract has it, beside training time."""
    mean = dataset.mean("seed")
    clustered = (mean["q_slsc"] >= mean["q_sl"]) & (mean["q_sl"] > np.abs(mean["q_dl"]))
    spread = mean["sigma_z"].diff("radius") > 0
    ratio = _all_points(mean, "relative_mean_outlier") / _all_points(mean, "expected_mean_outlier")
    near = np.abs(np.log(ratio)) < np.log(NEAR)
    confined = mean["top_power"] > 0.5
    C = dataset.attrs["num_classes"]
    counted = dataset["gauss_newton_num_outliers"].isin([C - 1, C])
    return [
        Claim(
            "Paper: σ_z grows with the weight radius.",
            verdict(bool(spread.all()), bool(spread.any())),
            _ends(mean, "sigma_z"),
        ),
        Claim(
            "Paper: logit gradients cluster at every radius: q_SLSC ≥ q_SL > |q_DL|.",
            verdict(bool(clustered.all()), float(clustered.mean()) > 0.5),
            f"{int(clustered.sum())} of {clustered.size} points; q_SL {_ends(mean, 'q_sl')}",
        ),
        _rise_and_fall(
            "Paper: λ_max rises, then falls, along the radius as it does along training.",
            mean,
            "gauss_newton_lambda_max",
        ),
        _rise_and_fall(
            "Beyond the paper: so does λ_max/σ_c², σ_c the length of the mean logit gradients.",
            mean,
            "relative_lambda_max",
        ),
        Claim(
            "Random model: the C − 1 largest eigenvalues of G are on average "
            f"σ_c² (1 − E[Y])/(C − 1), to a factor of {NEAR:g}.",
            verdict(bool(near.all()), float(near.mean()) > 0.5),
            f"{int(near.sum())} of {near.size} points; measured over expected: median "
            f"{np.median(ratio):.3g}, from {ratio.min():.3g} to {ratio.max():.3g}",
        ),
        Claim(
            "Paper: the gradient lies largely in the top C eigenvectors, at every radius.",
            verdict(bool(confined.all()), bool(confined.any())),
            _ends(mean, "top_power"),
        ),
        Claim(
            "Paper: C or C − 1 outliers at every radius.",
            verdict(bool(counted.all()), bool(counted.any())),
            f"of H: {_ends(mean, 'num_outliers')}; "
            f"of G: {_ends(mean, 'gauss_newton_num_outliers')}",
        ),
    ]


def _rise_and_fall(statement: str, mean: xr.Dataset, name: str) -> Claim:
    peaks = {point: int(mean[name].sel(point=point).argmax("radius")) for point in POINTS}
    inside = [0 < peak < mean.sizes["radius"] - 1 for peak in peaks.values()]
    said = [
        f"largest at radius {float(mean['radius'][peak]):.2g} ({point})"
        for point, peak in peaks.items()
    ]
    return Claim(
        statement,
        verdict(all(inside), any(inside)),
        f"of G: {_ends(mean, name)}; {'; '.join(said)}",
    )


def _all_points(mean: xr.Dataset, name: str) -> np.ndarray:
    """Along both radii and along training."""
    return np.concatenate([mean[name].values.ravel(), mean[f"training_{name}"].values.ravel()])


def _ends(mean: xr.Dataset, name: str) -> str:
    ways = {point: mean[name].sel(point=point) for point in POINTS}
    ways["training"] = mean[f"training_{name}"]
    return "; ".join(f"{way}: {course(values.values, '.3g')}" for way, values in ways.items())
