"""Fig. 6: how much of the gradient lies in the top eigenvectors, over many draws."""

from dataclasses import replace

import numpy as np
import xarray as xr

from landscope.experiments.claim import Claim, verdict
from landscope.experiments.progress import Progress, silent
from landscope.experiments.random_model.draw import describe, top_power
from landscope.random_model import RandomModel, limits

NUM_DRAWS = 50
IN_THE_PAPER = 0.71
"""Share of the top 10 in the one draw that the paper shows."""


def compute(
    seed: int = 0,
    progress: Progress = silent,
    reference: RandomModel | None = None,
    num_draws: int = NUM_DRAWS,
) -> xr.Dataset:
    """Draw cosines once, and the share of the top C in many draws, for both kinds of labels.

    Returns
    -------
    xarray.Dataset
        What `describe` returns; along `draw` and `labels` the share `top_power` of the top C
        eigenvectors and `top_power_theory` of the outliers.
    """
    reference = reference or RandomModel()
    C = reference.num_classes
    powers = np.zeros((2, 2, num_draws))
    kinds = ["uniform", "sampled"]
    for i, kind in enumerate(kinds):
        model = replace(reference, labels=kind)
        for draw in range(num_draws):
            progress(i * num_draws + draw, 2 * num_draws, f"labels {kind}")
            land = model.sample(seed + draw)
            powers[:, i, draw] = top_power(land, C), land.theory().gradient_power.sum()
    mean, deviation = limits.gradient_power(reference)
    chosen = replace(reference, labels=kinds[0])
    return describe(chosen, seed).assign(
        labels=("labels", kinds),
        top_power=(("labels", "draw"), powers[0]),
        top_power_theory=(("labels", "draw"), powers[1]),
        limit_mean=mean,
        limit_deviation=deviation,
    )


def claims(dataset: xr.Dataset) -> list[Claim]:
    """Hold the share of the top C against the paper's one draw and the theory."""
    C = dataset.attrs["num_classes"]
    uniform, sampled = (dataset["top_power"].sel(labels=kind) for kind in ("uniform", "sampled"))
    errors = dataset["top_power_theory"] - dataset["top_power"]
    mean, limit = float(uniform.mean()), float(dataset["limit_mean"])
    stderr = float(uniform.std(ddof=1)) / len(uniform) ** 0.5
    below = float((uniform < 0.5).mean())
    inside = float(uniform.min()) <= IN_THE_PAPER <= float(uniform.max())
    return [
        Claim(
            f"Paper: most of the gradient's power lies in the top {C} eigenvectors.",
            verdict(below == 0, mean > 0.5),
            f"{mean:.3f} ± {stderr:.3f} on average; less than half in {below:.0%} of "
            f"{len(uniform)} draws",
        ),
        Claim(
            f"Paper: {IN_THE_PAPER:.0%} of the power, in one draw.",
            verdict(inside),
            f"a draw like others: {_spread(uniform)} (labels uniform), {_spread(sampled)} "
            "(labels sampled from p)",
        ),
        Claim(
            "Theory: X/(X + σ_E²/σ_c²), X ~ χ²/(C − 1) with C − 1 degrees of freedom, on average.",
            verdict(abs(mean - limit) < 3 * stderr),
            f"{limit:.3f} (standard deviation {float(dataset['limit_deviation']):.3f}) against "
            f"{mean:.3f} ± {stderr:.3f} (standard deviation {float(uniform.std(ddof=1)):.3f})",
        ),
        Claim(
            "Theory: the share in each draw, given its probabilities, labels and centroids.",
            verdict(abs(float(errors.mean())) < 0.01),
            f"theory − drawn {float(errors.mean()):+.4f} on average, root mean square "
            f"{float(np.sqrt((errors**2).mean())):.4f}",
        ),
    ]


def _spread(power: xr.DataArray) -> str:
    return (
        f"{float(power.mean()):.2f} with standard deviation {float(power.std(ddof=1)):.2f}, from "
        f"{float(power.min()):.2f} to {float(power.max()):.2f}"
    )
