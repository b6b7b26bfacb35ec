"""Fig. 5: the eigenspectrum, with centroids of equal lengths, unequal ones, and one per class."""

from dataclasses import replace

import numpy as np
import xarray as xr

from landscope.experiments.claim import Claim, verdict
from landscope.experiments.progress import Progress, silent
from landscope.experiments.random_model.draw import describe, num_detached
from landscope.random_model import RandomModel

EQUAL, UNEQUAL = "equal lengths", "unequal lengths"
GROUPS = {kind: f"per class, {kind}" for kind in ("full", "own", "shared")}

SIGMA_CLASS = 1.0
NUM_DRAWS = 10


def variants(reference: RandomModel) -> dict[str, RandomModel]:
    """Name the model with centroids of each kind."""
    lengths = np.linspace(0.3, 3.0, reference.num_classes)
    return {
        EQUAL: reference,
        UNEQUAL: replace(reference, lengths=tuple(lengths)),
        **{
            name: replace(reference, sigma_class=SIGMA_CLASS, class_centroids=kind)
            for kind, name in GROUPS.items()
        },
    }


def compute(
    seed: int = 0,
    progress: Progress = silent,
    reference: RandomModel | None = None,
    num_draws: int = NUM_DRAWS,
) -> xr.Dataset:
    """Draw a spectrum of each kind, and count its outliers in more draws.

    Parameters
    ----------
    seed : int
        Of the draws, which take the seeds from this one on.
    progress : callable
        Called as progress(done, total, doing).
    reference : RandomModel, optional
        With centroids of equal lengths; the reference point if absent.
    num_draws : int
        Draws that outliers are counted in.

    Returns
    -------
    xarray.Dataset
        What `describe` returns along `variant`; outliers counted along `draw`.
    """
    models = variants(reference or RandomModel())
    drawn = []
    for place, (name, model) in enumerate(models.items()):
        progress(place, len(models), name)
        one = describe(model, seed, num_cosines=1)
        drawn.append(one.assign(_counts(model, seed, num_draws)))
    return xr.concat(drawn, dim=xr.Variable("variant", list(models)), join="outer")


def _counts(model: RandomModel, seed: int, num_draws: int) -> dict[str, tuple[str, list[float]]]:
    found: dict[str, list[float]] = {"outliers_drawn": [], "outliers_theory": [], "next_ratio": []}
    for draw in range(num_draws):
        land = model.sample(seed + draw)
        theory, eigenvalues = land.theory(), land.eigenvalues()
        found["outliers_drawn"].append(num_detached(eigenvalues, theory))
        found["outliers_theory"].append(len(theory.outliers))
        found["next_ratio"].append(eigenvalues[model.num_classes - 1] / theory.edge)
    return {name: ("draw", values) for name, values in found.items()}


def claims(dataset: xr.Dataset) -> list[Claim]:
    """Hold the numbers of outliers, and where they lie, against the paper and the theory."""
    C = dataset.attrs["num_classes"]
    equal, unequal = dataset.sel(variant=EQUAL), dataset.sel(variant=UNEQUAL)
    deviation = _largest_deviation(equal)
    beside_edge = float(equal["eigenvalue"].sel(rank=C) / equal["edge_theory"])
    return [
        Claim(
            f"Paper: the spectrum has a bulk and C − 1 = {C - 1} outliers.",
            verdict(bool((equal["outliers_drawn"] == C - 1).all())),
            f"{_range(equal['outliers_drawn'])} outliers in {equal.sizes['draw']} draws",
        ),
        Claim(
            f"Paper: centroids of unequal lengths give C = {C} outliers.",
            verdict(bool((unequal["outliers_drawn"] == C).all())),
            f"{_range(unequal['outliers_drawn'])} outliers in {unequal.sizes['draw']} draws; the "
            f"C-th eigenvalue is at most {float(unequal['next_ratio'].max()):.3f} of the bulk's "
            "edge (Sᵀ1 = 0 leaves the means rank C − 1)",
        ),
        Claim(
            "Theory: outliers lie where the deterministic equivalents say.",
            verdict(deviation < 0.02, deviation < 0.05),
            f"largest relative deviation {deviation:.2%}; first bulk eigenvalue {beside_edge:.3f} "
            "of the edge",
        ),
        *(_group_claim(dataset.sel(variant=name), kind, C) for kind, name in GROUPS.items()),
    ]


def _group_claim(group: xr.Dataset, kind: str, C: int) -> Claim:
    drawn = group["outliers_drawn"]
    said = f"{_range(drawn)} drawn, {_range(group['outliers_theory'])} predicted"
    expected = {
        "full": ("up to (C − 1)² more", C - 1, C - 1 + (C - 1) ** 2),
        "own": ("C more", 2 * C - 1, 2 * C - 1),
        "shared": ("none more", C - 1, C - 1),
    }
    text, low, high = expected[kind]
    # The first C − 1 come from the means over all classes.
    within = bool(((drawn >= low) & (drawn <= high)).all())
    grown = kind != "full" or bool((drawn > C - 1).all())
    return Claim(
        f"Theory: class-conditional centroids ({kind}) give {text}, beyond the first C − 1.",
        verdict(within and grown, bool(drawn.mean() > low - 1)),
        f"{said}, in {group.sizes['draw']} draws",
    )


def _largest_deviation(variant: xr.Dataset) -> float:
    predicted = variant["outlier_theory"].dropna("outlier").values
    return float(np.abs(predicted / variant["eigenvalue"].values[: len(predicted)] - 1).max())


def _range(counts: xr.DataArray) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"
