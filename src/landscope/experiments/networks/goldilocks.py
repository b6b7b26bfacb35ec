"""The Goldilocks zone: curvature in hyperplanes, and training in them, against the radius."""

import numpy as np
import xarray as xr

from landscope.experiments.claim import Claim, verdict
from landscope.experiments.networks import measurements
from landscope.experiments.networks.cell import POINTS, Cell, Trained
from landscope.experiments.networks.gathered import gathered
from landscope.experiments.networks.grid import Grid
from landscope.experiments.networks.hyperplane import final_accuracy
from landscope.experiments.networks.scale import DATA_TITLES, NETWORK_TITLES, SMALL_CNN, Scale
from landscope.experiments.progress import Progress, silent
from landscope.random_model import RandomModel
from landscope.training import AdamDescent, HyperplaneConfig, TrainConfig
from landscope.training.goldilocks import RADII
from landscope.training.trainer import measured_problem

NONLINEARITIES = ("relu", "tanh")
TRAIN_DIM = 100
HE_RADIUS = 6**0.5
"""He initialisation, √(2/n) for n inputs, in units of PyTorch's default, √(1/3n)."""

NEAR = 4.0
"""How many times smaller or larger than the default a usual initialisation is at most."""

FALL = 0.7
CLOSE = 1.25

_SHELL = (
    "trace",
    "expected_trace",
    "expected_trace_stderr",
    "trace_over_norm",
    "trace_over_norm_stderr",
    "gauss_newton_trace_over_norm",
    "positive_share",
    "sigma_z",
    "sigma_c",
    "sigma_e",
    "entropy",
    "loss",
)


def compute(seed: int = 0, progress: Progress = silent, *, grid: Grid, scale: Scale) -> xr.Dataset:
    """Scale the initial weights of a SmallCNN, look at random hyperplanes and train in them.

    Returns
    -------
    xarray.Dataset
        Curvature and logits along (nonlinearity, radius, seed); the accuracy that training in
        hyperplanes reaches along (nonlinearity, trained_radius, seed), and of all weights along
        (nonlinearity, seed).
    """
    kinds = [(n, at) for n in NONLINEARITIES for at in scale.hyperplane_seeds_from(seed)]
    radii = RADII if scale.num_radii > 3 else RADII[::6]
    num_params = measured_problem(_training(scale, "relu", seed, 1.0, 1e-3)).num_params
    rate = AdamDescent().rate_in_hyperplane(num_params, TRAIN_DIM)
    full = {
        (n, at): Cell(
            _training(scale, n, at, 1.0, AdamDescent().full_step_size),
            measurements.zone,
            radii,
            points=POINTS[:1],
        )
        for n, at in kinds
    }
    in_planes = {
        (n, radius, at, share): Cell(
            _training(scale, n, at, radius, share * rate, TRAIN_DIM), measurements.loss
        )
        for n, at in kinds
        for radius in radii[::2]
        for share in dict.fromkeys((1.0, radius))
    }
    trained = grid.trained([*full.values(), *in_planes.values()], progress)
    outcomes = dict(zip([*full, *in_planes], trained, strict=True))
    shells = gathered(
        {key: outcomes[key].scaled(POINTS[0]) for key in full}, ["nonlinearity", "seed"], _SHELL
    )
    reached = _better_of_both({key: outcomes[key] for key in in_planes})
    whole = {key: xr.Dataset({"full_accuracy": final_accuracy(outcomes[key])}) for key in full}
    N = scale.few_examples
    return xr.merge(
        [
            shells.assign(model_trace_over_norm=_of_the_model(shells, N)),
            reached,
            gathered(whole, ["nonlinearity", "seed"], ["full_accuracy"]),
        ]
    ).assign_attrs(
        dim=measurements.HYPERPLANE_DIM,
        num_hyperplanes=measurements.NUM_HYPERPLANES,
        train_dim=TRAIN_DIM,
        num_examples=N,
        num_classes=10,
        num_params=num_params,
        data_title=DATA_TITLES[scale.grey],
        network_title=NETWORK_TITLES[SMALL_CNN],
        he_radius=HE_RADIUS,
    )


def _training(
    scale: Scale, nonlinearity: str, seed: int, radius: float, rate: float, dim: int | None = None
) -> TrainConfig:
    return scale.training(
        scale.grey,
        nonlinearity=nonlinearity,
        optimizer="adam",
        schedule="cosine",
        learning_rate=rate,
        radius=radius,
        hyperplane=HyperplaneConfig(dim=dim),
        num_measurements=2,
        measure_examples=scale.few_examples,
        test_examples=None,
        seed=seed,
    )


def _better_of_both(outcomes: dict[tuple[str, float, int, float], Trained]) -> xr.Dataset:
    """Of a fixed step and one in proportion to the radius, that with the lower final loss.

    A diverged training counts as the worst.
    """
    by_share = gathered(
        {
            (n, radius, at, "fixed" if share == 1.0 else "relative"): xr.Dataset(
                {
                    "trained_accuracy": final_accuracy(one),
                    "final_loss": float(one.trajectory()["loss"].isel(training_step=-1)),
                }
            )
            for (n, radius, at, share), one in outcomes.items()
        },
        ["nonlinearity", "trained_radius", "seed", "step"],
        ["trained_accuracy", "final_loss"],
    )
    best = by_share["final_loss"].fillna(np.inf).argmin("step")
    return by_share[["trained_accuracy"]].isel(step=best).drop_vars("step")


def _of_the_model(shells: xr.Dataset, num_examples: int) -> xr.DataArray:
    """Tr/‖·‖_F of the random model in d dimensions at the measured σ_z and σ_E/σ_c."""

    def ratio(sigma_z: float, sigma_c: float, sigma_e: float) -> float:
        model = RandomModel(
            num_classes=10,
            num_examples=num_examples,
            num_params=measurements.HYPERPLANE_DIM,
            sigma_c=sigma_c,
            sigma_e=sigma_e,
            sigma_z=sigma_z,
        )
        drawn = [model.sample(seed) for seed in range(3)]
        norms = [land.frobenius_norm() for land in drawn]
        return float(
            np.mean(
                [land.trace() / n if n else np.nan for land, n in zip(drawn, norms, strict=True)]
            )
        )

    return xr.apply_ufunc(
        np.vectorize(ratio), shells["sigma_z"], shells["sigma_c"], shells["sigma_e"]
    )


def claims(dataset: xr.Dataset) -> list[Claim]:
    """Hold that there is a zone, that initialisations lie in it, and that training does better."""
    named = [dataset.sel(nonlinearity=n) for n in dataset["nonlinearity"].values]
    return [
        *(_zone(one, "trace_over_norm", "Tr/‖·‖_F") for one in named),
        *(_zone(one, "positive_share", "the share of positive eigenvalues", 0.5) for one in named),
        *(_inside_and_outside(one) for one in named),
        _expected(dataset),
        _of_fig8(dataset.mean("seed")),
    ]


def _peak(values: xr.DataArray) -> float:
    """Radius of the largest value near the usual initialisations."""
    near = values["radius"][np.abs(np.log(values["radius"])) <= np.log(NEAR)]
    return float(values.sel(radius=near).idxmax("radius"))


def _zone(one: xr.Dataset, name: str, said: str, base: float = 0.0) -> Claim:
    """Hold a maximum near usual initialisations, above the base that random signs would give."""
    values = one[name].mean("seed")
    at = _peak(values)
    inside, outside = values.sel(radius=slice(None, at)), values.sel(radius=slice(at, None))
    top = float(values.sel(radius=at))
    falls = [float(side.min()) - base < FALL * (top - base) for side in (inside, outside)]
    highest = bool(values.max() <= top)
    error = float(one[name].sel(radius=at).std("seed", ddof=1)) / one.sizes["seed"] ** 0.5
    return Claim(
        f"Paper: {said} of H in hyperplanes is largest in a shell around the usual initialisations "
        f"(radius 1/{NEAR:g} to {NEAR:g}) and falls on both sides of it to less than {FALL:g} of "
        f"what it is there{f' above {base:g}' if base else ''} ({one['nonlinearity'].item()}).",
        verdict(all(falls) and highest, all(falls)),
        f"{top:.2f} ± {error:.2f} at radius {at:.2g}; least inside {float(inside.min()):.2f} at "
        f"{float(inside.idxmin('radius')):.2g}, outside {float(outside.min()):.2f} at "
        f"{float(outside.idxmin('radius')):.2g}; at the smallest radius {float(values[0]):.2f}",
    )


def _inside_and_outside(one: xr.Dataset) -> Claim:
    reached = one["trained_accuracy"]
    peak = _peak(one["trace_over_norm"].mean("seed"))
    radii = reached["trained_radius"].values
    inside = radii[np.abs(np.log(radii / peak)).argmin()]
    far = {"out": _nearest(radii, 10 * inside), "in": _nearest(radii, inside / 10)}
    best = reached.sel(trained_radius=inside)
    gains = {way: best - reached.sel(trained_radius=radius) for way, radius in far.items()}
    clear = {way: _is_clear(gain) for way, gain in gains.items()}
    said = [
        f"{_said_of_mean(reached.sel(trained_radius=radius))} from {radius:.2g}, 10 times farther "
        f"{way}"
        for way, radius in far.items()
    ]
    return Claim(
        "Paper: training in a hyperplane from inside the zone reaches a higher accuracy than from "
        f"10 times outside, at the same d ({one['nonlinearity'].item()}).",
        verdict(clear["out"], bool(gains["out"].mean() > 0)),
        f"d = {one.attrs['train_dim']}: {_said_of_mean(best)} from radius {inside:.2g}; "
        f"{'; '.join(said)}; all weights from radius 1: {_said_of_mean(one['full_accuracy'])}",
    )


def _nearest(radii: np.ndarray, wanted: float) -> float:
    return float(radii[np.abs(np.log(radii / wanted)).argmin()])


def _is_clear(gain: xr.DataArray) -> bool:
    """Whether a gain is more than two standard errors, networks paired by their seed."""
    return bool(gain.mean() > 2 * gain.std("seed", ddof=1) / gain.sizes["seed"] ** 0.5)


def _said_of_mean(values: xr.DataArray) -> str:
    error = float(values.std("seed", ddof=1)) / values.sizes["seed"] ** 0.5
    return f"{float(values.mean()):.3f} ± {error:.3f}"


def _expected(dataset: xr.Dataset) -> Claim:
    away = (dataset["trace"] - dataset["expected_trace"]) / dataset["expected_trace_stderr"]
    worst, mean_square = float(np.abs(away).max()), float((away**2).mean() ** 0.5)
    return Claim(
        "Theory: Tr PᵀHP is (d/D) Tr H on average over hyperplanes, within three standard "
        "deviations of a single one.",
        verdict(worst < 3, float((np.abs(away) < 3).mean()) > 0.95),
        f"means over {dataset.attrs['num_hyperplanes']} hyperplanes at {away.size} points: at most "
        f"{worst:.2f} standard deviations away, root mean square {mean_square:.2f}",
    )


def _of_fig8(mean: xr.Dataset) -> Claim:
    measured, model = mean["gauss_newton_trace_over_norm"], mean["model_trace_over_norm"]
    ratio = (measured / model).where(model > 0)
    near = float((np.abs(np.log(ratio)) < np.log(CLOSE)).sum() / ratio.notnull().sum())
    return Claim(
        "Random model (Fig. 8): at the measured σ_z, N and d it has the Tr/‖·‖_F of G in "
        f"hyperplanes, to a factor of {CLOSE:g}.",
        verdict(near == 1, near > 0.5),
        f"{near:.0%} of {int(ratio.notnull().sum())} points; measured over model: median "
        f"{float(ratio.median()):.2f}, from {float(ratio.min()):.2f} to {float(ratio.max()):.2f}",
    )
