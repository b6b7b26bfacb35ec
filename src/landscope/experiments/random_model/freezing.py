"""Fig. 3b: the motion of probabilities in the simplex as the spread of the logits grows."""

import numpy as np
import xarray as xr

from landscope.experiments.claim import Claim, verdict
from landscope.experiments.progress import Progress, silent
from landscope.random_model import (
    critical_sigma,
    expected_entropy,
    expected_participation,
    limiting_entropy,
    limiting_participation,
    simplex_paths,
)

SPREADS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""σ_z of the stages at which points are shown in the simplex."""

CLASSES = (3, 10, 100, 10**4, 10**8)
_SAMPLED = (3, 10, 100, 10**4)
_MOST_LOGITS = 4_000_000


def compute(
    seed: int = 0, progress: Progress = silent, num_points: int = 200, num_spreads: int = 41
) -> xr.Dataset:
    """Follow points of the simplex, and average participation and entropy for many C.

    Parameters
    ----------
    seed : int
        Of the points and the samples.
    progress : callable
        Called as progress(done, total, doing).
    num_points : int
        Examples followed in the simplex of three classes.
    num_spreads : int
        Values of σ_z/σ_z* from 0 to 4.

    Returns
    -------
    xarray.Dataset
        `probability` along (spread, example, class); participation and entropy along
        (num_classes, reduced_sigma) by quadrature, and sampled at a few with their errors.
    """
    reduced = np.linspace(0.0, 4.0, num_spreads)
    sampled_at = reduced[:: max(1, num_spreads // 8)]
    stars = np.array([critical_sigma(C) for C in CLASSES])
    paths = simplex_paths(3, num_points, np.array(SPREADS), seed)
    shape = (len(CLASSES), len(reduced))
    participation, entropy = np.zeros(shape), np.zeros(shape)
    sampled = np.full((4, len(CLASSES), len(sampled_at)), np.nan)
    for i, C in enumerate(CLASSES):
        progress(i, len(CLASSES), f"C = {C:,}")
        for j, x in enumerate(reduced):
            participation[i, j] = expected_participation(C, x * stars[i])
            entropy[i, j] = expected_entropy(C, x * stars[i])
        if C in _SAMPLED:
            sampled[:, i] = _sampled(C, sampled_at * stars[i], seed)
    limits = np.array(
        [
            [limiting_participation(10, x * stars[1]) for x in reduced],
            [limiting_entropy(10, x * stars[1]) for x in reduced],
        ]
    )
    dims, sampled_dims = ("num_classes", "reduced_sigma"), ("num_classes", "sampled_sigma")
    return xr.Dataset(
        {
            "probability": (("spread", "example", "class"), paths),
            "mean_entropy": ("spread", -np.sum(paths * np.log(paths + 1e-300), -1).mean(1)),
            "critical_sigma": ("num_classes", stars),
            "participation": (dims, participation),
            "entropy": (dims, entropy),
            "participation_sampled": (sampled_dims, sampled[0]),
            "participation_stderr": (sampled_dims, sampled[1]),
            "entropy_sampled": (sampled_dims, sampled[2]),
            "entropy_stderr": (sampled_dims, sampled[3]),
            "participation_limit": ("reduced_sigma", limits[0]),
            "relative_entropy_limit": ("reduced_sigma", limits[1] / np.log(10)),
        },
        coords={
            "spread": list(SPREADS),
            "num_classes": [float(C) for C in CLASSES],
            "reduced_sigma": reduced,
            "sampled_sigma": sampled_at,
        },
    )


def _sampled(C: int, spreads: np.ndarray, seed: int) -> np.ndarray:
    """Mean and standard error of Y, and of the entropy, shape (4, spreads)."""
    rng = np.random.default_rng(seed)
    num_examples = max(40, min(4000, _MOST_LOGITS // (C * len(spreads))))
    directions = rng.standard_normal((num_examples, C))
    columns = []
    for spread in spreads:
        z = spread * directions
        z -= z.max(1, keepdims=True)
        weights = np.exp(z)
        Z = weights.sum(1)
        Y = np.square(weights).sum(1) / Z**2
        S = np.log(Z) - (weights * z).sum(1) / Z
        means = [[v.mean(), v.std(ddof=1) / num_examples**0.5] for v in (Y, S)]
        columns.append(np.ravel(means))
    return np.array(columns).T


def claims(dataset: xr.Dataset) -> list[Claim]:
    """Hold the fall of the entropy, the averages and the limit against the samples."""
    S = dataset["mean_entropy"].values
    return [
        Claim(
            "Paper: probabilities move to the corners, and their entropy falls as σ_z grows.",
            verdict(bool((np.diff(S) < 0).all())),
            f"mean entropy {S[0]:.3f} nats at σ_z = {SPREADS[0]:g}, {S[-1]:.3f} at {SPREADS[-1]:g} "
            f"(ln 3 = {np.log(3):.3f})",
        ),
        *(_sampling_claim(dataset, name) for name in ("participation", "entropy")),
        _limit_claim(dataset),
    ]


def _sampling_claim(dataset: xr.Dataset, name: str) -> Claim:
    predicted = dataset[name].sel(reduced_sigma=dataset["sampled_sigma"], method="nearest")
    stderr = dataset[f"{name}_stderr"]
    scores = ((dataset[f"{name}_sampled"] - predicted) / stderr).where(stderr > 1e-12)
    worst, count = float(np.abs(scores).max()), int(scores.notnull().sum())
    return Claim(
        f"Theory: the mean {name} at any C, by quadrature.",
        verdict(worst < 4),
        f"at most {worst:.1f} standard errors from samples at {count} points",
    )


def _limit_claim(dataset: xr.Dataset) -> Claim:
    at = {C: dataset["participation"].sel(num_classes=C) for C in (10.0, 1e8)}
    distance = {C: float(np.abs(Y - dataset["participation_limit"]).max()) for C, Y in at.items()}
    at_star = {C: float(Y.sel(reduced_sigma=1.0, method="nearest")) for C, Y in at.items()}
    return Claim(
        "Paper: freezing as in Derrida's random energy model, at σ_z* = √(2 ln C).",
        verdict(distance[1e8] < 0.02, distance[1e8] < distance[10.0]),
        f"mean participation at σ_z*: {at_star[10.0]:.3f} for C = 10, {at_star[1e8]:.3f} for "
        f"C = 10⁸, 0 in the limit; largest distance from the limit {distance[10.0]:.2f} and "
        f"{distance[1e8]:.2f}: at finite C a crossover, sharper only as ln C grows",
    )
