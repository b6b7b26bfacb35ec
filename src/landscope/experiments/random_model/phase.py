"""How many outliers leave the bulk, over σ_c/σ_E and the numbers of examples and parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float64
from scipy.interpolate import interp1d

from landscope.experiments.claim import Claim, verdict
from landscope.experiments.progress import Progress, silent
from landscope.experiments.random_model.draw import num_detached
from landscope.random_model import RandomModel

AXES = {
    "num_examples": (30, 60, 100, 200, 300, 600, 1000, 2000),
    "num_params": (100, 300, 1000, 3000, 10**4, 10**5, 10**6, 10**8),
}
SAMPLED = {"num_examples": (30, 100, 300, 1000), "num_params": (100, 1000, 10**4, 10**6)}
_FINE = 121
SAMPLED_RATIOS = (0.04, 0.07, 0.1, 0.14, 0.3)


def compute(
    seed: int = 0,
    progress: Progress = silent,
    reference: RandomModel | None = None,
    axes: Mapping[str, Sequence[int]] = AXES,
    sampled: Mapping[str, Sequence[int]] = SAMPLED,
    num_draws: int = 4,
) -> xr.Dataset:
    """Predict the number of detached outliers over both planes, and draw at some points.

    With σ_c/σ_E alone, each outlier has one place where it leaves the bulk, `Theory.detachment`:
    a whole row of a plane takes one solution of the theory per draw.

    Parameters
    ----------
    seed : int
        Of all draws.
    progress : callable
        Called as progress(done, total, doing).
    reference : RandomModel, optional
        All but σ_c, σ_E and the parameter of the axis.
    axes, sampled : dict
        Values of `num_examples` and of `num_params` for the theory and for the draws.
    num_draws : int
        Draws of probabilities and centroids that the theory is averaged over.

    Returns
    -------
    xarray.Dataset
        For each axis the mean number of outliers `detached_AXIS` along (fine_AXIS, ratio), the
        ratios `threshold_AXIS` at which each leaves, and the drawn numbers `drawn_AXIS` with those
        predicted for the same draws, `given_AXIS`, along (sampled_AXIS, sampled_ratio).
    """
    reference = replace(reference or RandomModel(), sigma_c=1.0, sigma_e=1.0)
    ratios = np.geomspace(0.02, 0.6, 81)
    total = sum(map(len, [*axes.values(), *sampled.values()]))
    parts, done = [], 0
    for axis in axes:
        thresholds = []
        for value in axes[axis]:
            progress(done, total, f"{axis} = {value:,}")
            done += 1
            model = _at(reference, axis, value)
            leaving = np.array([t.detachment for t in model.theory(num_draws, seed).draws])
            leaving = leaving[:, : model.num_classes - 1]
            thresholds.append(np.log(leaving))
        drawn = []
        for value in sampled[axis]:
            progress(done, total, f"drawing, {axis} = {value:,}")
            done += 1
            drawn.append([_drawn(reference, axis, value, r, seed) for r in SAMPLED_RATIOS])
        counts = np.array(drawn)
        values = np.array(axes[axis], dtype=float)
        fine = np.geomspace(values[0], values[-1], _FINE)
        places = (f"sampled_{axis}", "sampled_ratio")
        parts.append(
            xr.Dataset(
                {
                    f"detached_{axis}": (
                        (f"fine_{axis}", "ratio"),
                        _detached(np.log(values), np.array(thresholds), np.log(fine), ratios),
                    ),
                    f"threshold_{axis}": (
                        (axis, "outlier"),
                        np.exp(np.mean(thresholds, axis=1)),
                    ),
                    f"drawn_{axis}": (places, counts[:, :, 0]),
                    f"given_{axis}": (places, counts[:, :, 1]),
                },
                coords={
                    axis: values,
                    f"fine_{axis}": fine,
                    f"sampled_{axis}": np.array(sampled[axis], dtype=float),
                    "ratio": ratios,
                    "sampled_ratio": list(SAMPLED_RATIOS),
                },
            )
        )
    attributes = {name: float(getattr(reference, name)) for name in ("num_examples", "num_params")}
    return xr.merge(parts).assign_attrs(
        num_classes=reference.num_classes, sigma_z=reference.sigma_z, **attributes
    )


def _detached(
    x: Float64[np.ndarray, " v"],
    log_thresholds: Float64[np.ndarray, "v draws outliers"],
    fine_x: Float64[np.ndarray, " f"],
    ratios: Float64[np.ndarray, " r"],
) -> Float64[np.ndarray, "f r"]:
    """Mean number of outliers detached, the thresholds interpolated between values of the axis."""
    thresholds = interp1d(x, log_thresholds, axis=0)(fine_x)
    return (thresholds[..., None] < np.log(ratios)).sum(2).mean(1)


def _at(reference: RandomModel, axis: str, value: int) -> RandomModel:
    changed: dict[str, Any] = {axis: value}
    return replace(reference, **changed)


def _drawn(
    reference: RandomModel, axis: str, value: int, ratio: float, seed: int
) -> tuple[int, int]:
    land = replace(_at(reference, axis, value), sigma_c=ratio).sample(seed)
    theory = land.theory()
    return num_detached(land.eigenvalues(), theory), len(theory.outliers)


def claims(dataset: xr.Dataset) -> list[Claim]:
    """Hold the drawn numbers against the predicted ones."""
    C = dataset.attrs["num_classes"]
    drawn = np.concatenate([dataset[f"drawn_{axis}"].values.ravel() for axis in AXES])
    given = np.concatenate([dataset[f"given_{axis}"].values.ravel() for axis in AXES])
    equal, near = (float(np.mean(np.abs(drawn - given) <= d)) for d in (0, 1))
    halves = dataset["threshold_num_examples"].isel(outlier=dataset.sizes["outlier"] // 2).values
    slope = np.polyfit(np.log(dataset["num_examples"].values), np.log(halves), 1)[0]
    return [
        Claim(
            f"Theory: never more than C − 1 = {C - 1} outliers with one centroid per logit.",
            verdict(bool(drawn.max() <= C - 1)),
            f"at most {int(drawn.max())} drawn at {drawn.size} points",
        ),
        Claim(
            "Theory: the number of detached outliers, given the draw.",
            verdict(near == 1 and equal > 0.8, near > 0.8),
            f"the same at {equal:.0%} of {drawn.size} points, within one at {near:.0%}",
        ),
        Claim(
            "Theory: more examples let outliers leave at smaller centroids.",
            verdict(bool((np.diff(halves) < 0).all())),
            f"the middle one leaves at σ_c/σ_E = {halves[0]:.3f} for N = "
            f"{dataset['num_examples'].values[0]:.0f} and {halves[-1]:.3f} for N = "
            f"{dataset['num_examples'].values[-1]:.0f}, about N^({slope:.2f})",
        ),
    ]
