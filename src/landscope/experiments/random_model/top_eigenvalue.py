"""Fig. 7: the largest eigenvalue against σ_z, for logit gradients that grow with it or do not."""

from dataclasses import replace

import numpy as np
import xarray as xr

from landscope.experiments.claim import Claim, verdict
from landscope.experiments.network_growth import growth_exponent
from landscope.experiments.progress import Progress, silent
from landscope.experiments.random_model.sweep import sweep
from landscope.random_model import RandomModel, limits

EXPONENTS = (0.0, 0.5, 1.0)

SPREAD = 1.0
"""σ_z from which freezing bends λ_1, and where growth is fitted once more by itself."""


def compute(
    seed: int = 0,
    progress: Progress = silent,
    *,
    growth: xr.Dataset,
    reference: RandomModel | None = None,
    num_spreads: int = 15,
    num_draws: int = 4,
) -> xr.Dataset:
    """Draw along σ_z with σ_c at its reference; all growths follow from it.

    H is σ_c² times what it is at σ_c = 1 and the same σ_c/σ_E, so λ_1 with σ_c² ∝ σ_z^β is
    (σ_z/σ_z⁰)^β times λ_1 with β = 0.

    Parameters
    ----------
    seed : int
        Of the draws.
    progress : callable
        Called as progress(done, total, doing).
    growth : xarray.Dataset
        σ_z, σ_c and σ_E of a network along `training_step`.
    reference : RandomModel, optional
        σ_c, σ_E, N, C and D; its σ_z = 1 is where all growths meet.
    num_spreads, num_draws : int
        Values of σ_z from 0.1 to 25, and draws at each.

    Returns
    -------
    xarray.Dataset
        Along `sigma_z` and `draw` what `sweep` returns; `limit` for N → ∞ along `fine_sigma_z`,
        all for β = 0; the network's `growth_*`, and the exponent fitted to it.
    """
    reference = reference or RandomModel()
    spreads = np.geomspace(0.1, 25.0, num_spreads)
    fine = np.geomspace(0.1, 25.0, 221)
    models = [replace(reference, sigma_z=spread) for spread in spreads]
    drawn = sweep(models, seed, num_draws, progress)
    drawn = drawn.rename(point="sigma_z").assign_coords(
        sigma_z=("sigma_z", spreads), fine_sigma_z=fine, exponent=list(EXPONENTS)
    )
    limit = np.array([limits.outlier_size(replace(reference, sigma_z=s)) for s in fine])
    beta, stderr = growth_exponent(growth)
    spread = growth.where(growth["sigma_z"] > SPREAD, drop=True)
    late = growth_exponent(spread) if spread.sizes["training_step"] > 2 else (np.nan, np.nan)
    return drawn.assign(
        limit=("fine_sigma_z", limit),
        limit_peak=("exponent", [fine[np.argmax(fine**beta * limit)] for beta in EXPONENTS]),
        growth_sigma_z=("training_step", growth["sigma_z"].values),
        growth_sigma_c=("training_step", growth["sigma_c"].values),
        growth_sigma_e=("training_step", growth["sigma_e"].values),
        growth_exponent=beta,
        growth_exponent_stderr=stderr,
        late_exponent=late[0],
        late_exponent_stderr=late[1],
    ).assign_coords(training_step=growth["training_step"].values)


def claims(dataset: xr.Dataset) -> list[Claim]:
    """Hold the transient, the theory and the network's growth against the numbers."""
    mean = dataset["top_eigenvalue"].mean("draw")
    error = (dataset["top_eigenvalue_theory"] / dataset["top_eigenvalue"] - 1).mean("draw")
    worst = float(np.abs(error).max())
    places = {beta: _peak(dataset, mean, beta) for beta in EXPONENTS}
    said = "; ".join(
        f"β = {beta:g}: {_place(dataset, peak, float(dataset['limit_peak'].sel(exponent=beta)))}"
        for beta, peak in places.items()
    )
    spreads = dataset["sigma_z"].values
    inside = [beta for beta, peak in places.items() if spreads[0] < peak < spreads[-1]]
    return [
        Claim(
            "Paper: λ_max rises, then falls as σ_z grows, with σ_c growing at fixed σ_c/σ_E.",
            verdict(len(inside) == len(EXPONENTS), 0.5 in inside),
            f"with σ_c² ∝ σ_z^β: {said}",
        ),
        Claim(
            "Theory: λ_max given the draw.",
            verdict(worst < 0.02, worst < 0.05),
            f"mean of theory/drawn − 1 at most {worst:.2%} in size over σ_z",
        ),
        _growth_claim(dataset),
    ]


def _growth_claim(dataset: xr.Dataset) -> Claim:
    whole, late = (
        (float(dataset[f"{part}_exponent"]), float(dataset[f"{part}_exponent_stderr"]))
        for part in ("growth", "late")
    )
    beta, stderr = late if np.isfinite(late[0]) else whole
    ratio = (dataset["growth_sigma_c"] / dataset["growth_sigma_e"]).values
    num_steps = dataset.sizes["training_step"]
    said = f"β = {whole[0]:.2f} ± {whole[1]:.2f} over {num_steps} steps of training"
    if np.isfinite(late[0]):
        said += f", {late[0]:.2f} ± {late[1]:.2f} where σ_z > {SPREAD:g}"
    return Claim(
        "A network's logit gradients grow with σ_z slowly enough for a maximum: 0 < β < 1, at "
        "σ_c/σ_E fixed.",
        verdict(abs(beta - 0.5) + 2 * stderr < 0.5, 0 < beta < 1),
        f"{said} (errors from the scatter around the fit); σ_c/σ_E goes from {ratio[0]:.2f} to "
        f"{ratio[-1]:.2f}",
    )


def _peak(dataset: xr.Dataset, mean: xr.DataArray, beta: float) -> float:
    grown = mean * dataset["sigma_z"] ** beta
    return float(dataset["sigma_z"][int(grown.argmax("sigma_z"))])


def _place(dataset: xr.Dataset, drawn: float, limit: float) -> str:
    spreads = dataset["sigma_z"].values
    if drawn == spreads[0]:
        return "falls from the start"
    if drawn == spreads[-1]:
        return "rises to the end"
    return f"largest at σ_z = {drawn:.2g} drawn, {limit:.2g} for N → ∞"
