"""The four properties along training: outliers, gradients confined to them, the transient."""

from itertools import product

import numpy as np
import xarray as xr

from landscope.experiments.claim import Claim, course, verdict
from landscope.experiments.networks import measurements
from landscope.experiments.networks.cell import Cell, Trained
from landscope.experiments.networks.gathered import gathered
from landscope.experiments.networks.grid import Grid
from landscope.experiments.networks.scale import DATA_TITLES, Scale, is_at_hand
from landscope.experiments.progress import Progress, silent
from landscope.geometry import heavy_ball_limit
from landscope.geometry.class_decomposition import PARTS

MANY = "cifar100"
"""Where there are more than ten classes."""

_SPECTRA = (
    "hessian_eigenvalues",
    "gauss_newton_eigenvalues",
    "hessian_bulk_edge",
    "gauss_newton_bulk_edge",
    "part_eigenvalues",
    "part_share",
    "part_trace",
    "test_accuracy",
    "loss",
)
_RATES = ("lambda_max", "lambda_max_gauss_newton", "loss", "accuracy", "test_accuracy", "sigma_z")


def compute(seed: int = 0, progress: Progress = silent, *, grid: Grid, scale: Scale) -> xr.Dataset:
    """Train on subsets of the classes and with several learning rates, and follow the curvature.

    Returns
    -------
    xarray.Dataset
        Outliers and the gradient's share along (num_classes, training_step, seed); the spectra of
        the network with all classes; the largest eigenvalue along (learning_rate, rate_step, seed).
    """
    seeds = scale.seeds(seed)
    counted = {
        (count, at): Cell(
            scale.training(
                data,
                classes=tuple(range(count)),
                num_measurements=scale.num_measurements,
                # Ten of each class, so that classes have a mean.
                measure_examples=max(scale.num_examples, 10 * count),
                seed=at,
            ),
            measurements.curvature,
        )
        for (data, count), at in product(_subsets(scale, grid), seeds)
    }
    rated = {
        (rate, at): Cell(
            scale.training(
                scale.grey,
                learning_rate=rate,
                momentum=0.0,
                steps=scale.transient_steps,
                num_measurements=2 * scale.num_measurements,
                seed=at,
            ),
            measurements.sharpness,
        )
        for rate, at in product(scale.learning_rates, seeds)
    }
    trained = grid.trained([*counted.values(), *rated.values()], progress)
    by_count = dict(zip(counted, trained, strict=False))
    by_rate = dict(zip(rated, trained[len(counted) :], strict=True))
    most = max(scale.class_counts)
    spectra = {(at,): _with_parts(by_count[most, at]) for at in seeds}
    rates = gathered(
        {place: one.trajectory() for place, one in by_rate.items()},
        ["learning_rate", "seed"],
        _RATES,
    ).rename(training_step="rate_step")
    names = ("cosines", "gradient_power", *_SPECTRA)
    return (
        xr.merge(
            [
                gathered(
                    {place: _counts(one) for place, one in by_count.items()},
                    ["num_classes", "seed"],
                    list(_COUNTS),
                ),
                gathered(spectra, ["seed"], names),
                rates.rename(
                    {
                        name: f"rate_{name}"
                        for name in ("loss", "accuracy", "test_accuracy", "sigma_z")
                    }
                ),
            ]
        )
        .assign(
            stability_limit=heavy_ball_limit(momentum=0.0) / rates["learning_rate"],
        )
        .assign_attrs(
            num_classes=most,
            data_title=DATA_TITLES[scale.grey],
            network_title="SmallCNN, relu",
            momentum=0.9,
            rate_momentum=0.0,
            diverged="; ".join(one.diverged for one in trained if one.diverged),
        )
    )


_COUNTS = {
    "hessian_num_outliers": "outliers of H",
    "gauss_newton_num_outliers": "outliers of G",
    "top_power": "share of ‖g‖² in the top C eigenvectors of H",
    "top_power_gauss_newton": "share of ‖g‖² in the top C eigenvectors of G",
    "top_power_chance": "C/D",
    "largest_eigenvalue": "λ_max(H)",
    "class_accuracy": "test accuracy",
}


def _subsets(scale: Scale, grid: Grid) -> list[tuple[str, int]]:
    """Data sets and how many of their classes; those whose files are absent are left out."""
    subsets = [(scale.grey, count) for count in scale.class_counts]
    if scale.many_classes and is_at_hand(MANY, grid.data_root):
        subsets += [(MANY, count) for count in scale.many_classes]
    return subsets


def _counts(trained: Trained) -> xr.Dataset:
    """What is counted for any number of classes."""
    measured = trained.trajectory()
    C = int(measured["num_classes"].max())
    top = {"rank": min(C, measured.sizes["rank"]) - 1}
    return xr.Dataset(
        {
            "hessian_num_outliers": measured["hessian_num_outliers"],
            "gauss_newton_num_outliers": measured["gauss_newton_num_outliers"],
            "top_power": measured["hessian_gradient_power"].isel(top),
            "top_power_gauss_newton": measured["gauss_newton_gradient_power"].isel(top),
            "top_power_chance": C / measured["num_params"],
            "largest_eigenvalue": measured["hessian_eigenvalues"].isel(rank=0),
            "class_accuracy": measured["test_accuracy"],
        }
    )


def _with_parts(trained: Trained) -> xr.Dataset:
    """Spectra along `rank`, those of the parts of G along `part`."""
    measured = trained.trajectory()
    return measured.assign(
        cosines=np.abs(measured["hessian_gradient_cosines"]),
        gradient_power=measured["hessian_gradient_power"],
    ).assign_coords(part=list(PARTS))


def claims(dataset: xr.Dataset) -> list[Claim]:
    """Hold the first three properties, and where outliers come from."""
    return [
        _count_claim(dataset, "hessian", "the Hessian"),
        _count_claim(dataset, "gauss_newton", "the G-term"),
        _origin_claim(dataset),
        _confinement_claim(dataset),
        _transient_claim(dataset),
        _stability_claim(dataset),
    ]


def _count_claim(dataset: xr.Dataset, operator: str, name: str) -> Claim:
    counts = dataset[f"{operator}_num_outliers"]
    C = counts["num_classes"]
    right = ((counts == C) | (counts == C - 1)).where(counts.notnull())
    share = float(right.mean())
    said = "; ".join(
        f"C = {int(c)}: {_span(counts.sel(num_classes=c))}, right in "
        f"{float(right.sel(num_classes=c).mean()):.0%} of the measured points"
        for c in C.values
    )
    return Claim(
        f"Paper: {name} has C or C − 1 outliers, at every stage, for every number of classes C.",
        verdict(share == 1, share > 0.5),
        said,
    )


def _span(counts: xr.DataArray) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{low}" if low == high else f"{low} to {high}"


def _origin_claim(dataset: xr.Dataset) -> Claim:
    C = dataset.attrs["num_classes"]
    first, after = (
        dataset["part_share"].isel(gram_rank=ranks).mean(("gram_rank", "seed"))
        for ranks in (slice(0, C - 1), slice(C - 1, None))
    )
    means = first.sel(part="class means") + first.sel(part="true class")
    said = "; ".join(
        f"step {int(step)}: {_by_part(first.sel(training_step=step))}"
        for step in first["training_step"].values[[0, first.sizes["training_step"] // 2, -1]]
    )
    last = after.isel(training_step=-1)
    return Claim(
        "Papyan 2019: class means make the first outliers, cross-class means those after them.",
        verdict(bool((means > 0.5).all()), bool((means > 0.5).any())),
        f"shares of the first {C - 1} eigenvalues of G: {said}; of those after them at the end: "
        + _by_part(last),
    )


def _by_part(shares: xr.DataArray) -> str:
    return ", ".join(f"{part} {float(shares.sel(part=part)):.2f}" for part in PARTS)


def _confinement_claim(dataset: xr.Dataset) -> Claim:
    power = dataset["top_power"].mean("seed")
    share = float((power > 0.5).where(power.notnull()).mean())
    said = "; ".join(
        f"C = {int(c)}: {course(power.sel(num_classes=c).values, '.2f')}"
        for c in power["num_classes"].values
    )
    chance = float(dataset["top_power_chance"].max())
    return Claim(
        "Paper: gradients lie largely in the top C eigenvectors of the Hessian.",
        verdict(share == 1, share >= 0.5),
        f"share of ‖g‖² along training (by chance at most {chance:.1g}): {said}",
    )


def _transient_claim(dataset: xr.Dataset) -> Claim:
    largest = dataset["lambda_max"].mean("seed")
    rises, said = [], []
    for rate in largest["learning_rate"].values:
        along = largest.sel(learning_rate=rate).dropna("rate_step")
        peak = int(along.values.argmax())
        rises.append(0 < peak < along.sizes["rate_step"] - 1)
        values = along.values[[0, peak, -1]]
        step = int(along["rate_step"][peak])
        said.append(
            f"η = {rate:g}: {values[0]:.3g} → {values[1]:.3g} (step {step}) → {values[2]:.3g}"
        )
    return Claim(
        "Paper: λ_max rises, then falls along training.",
        verdict(all(rises), any(rises)),
        "; ".join(said),
    )


def _stability_claim(dataset: xr.Dataset) -> Claim:
    """Full-batch gradient descent on a quadratic is stable below 2/η."""
    largest = dataset["lambda_max"].mean("seed").max("rate_step")
    ratio = largest / dataset["stability_limit"]
    said = ", ".join(
        f"η = {rate:g}: {float(value):.2f}"
        for rate, value in zip(ratio["learning_rate"].values, ratio.values, strict=True)
    )
    return Claim(
        "Beyond the paper: λ_max stays below the limit of stability 2/η (SGD without momentum).",
        verdict(bool((ratio < 1).all()), bool((ratio < 1.5).all())),
        f"largest λ_max over 2/η: {said}",
    )
