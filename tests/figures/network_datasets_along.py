"""Small data sets of the shape that experiments on networks compute, with made-up numbers.

Dimensions and names are those of `landscope.experiments.networks`; missing cells are NaN.
"""

import numpy as np
import xarray as xr

STEPS = np.array([0, 1, 4, 14, 54, 200, 400])
RATE_STEPS = np.array([0, 2, 9, 40, 160, 600, 1000])
CLASSES = (2, 3, 5, 10)
RATES = (0.02, 0.05, 0.1, 0.2)
PARTS = ("class means", "cross-class means", "within class", "true class")
STAGES = ("initialisation", "early", "middle", "late")
WIDTHS = (0.5, 1, 2, 4)
RADII = np.geomspace(0.25, 4, 7)

_TITLES = {
    "num_classes": 10,
    "data_title": "CIFAR-10 (7,897-image subset)",
    "network_title": "SmallCNN, relu",
}


class _Made:
    """Numbers scattered around a course, one for each seed."""

    def __init__(self, num_seeds: int) -> None:
        self.num_seeds = num_seeds
        self.rng = np.random.default_rng(0)

    def scattered(self, course: np.ndarray, by: float = 0.08) -> np.ndarray:
        """Append the dimension of seeds."""
        noise = self.rng.standard_normal((*np.shape(course), self.num_seeds))
        return np.asarray(course, dtype=float)[..., None] * np.exp(by * noise)

    def counted(self, course: np.ndarray) -> np.ndarray:
        noise = self.rng.integers(-1, 2, (*np.shape(course), self.num_seeds))
        return np.maximum(np.asarray(course)[..., None] + noise, 0).astype(float)


def _progress(steps: np.ndarray) -> np.ndarray:
    return np.log1p(steps) / np.log1p(steps[-1])


def growth_with_training(num_seeds: int = 3) -> xr.Dataset:
    made, t = _Made(num_seeds), _progress(STEPS)
    radii = np.geomspace(0.1, 10, 9)
    along, outwards = ("training_step", "seed"), ("radius", "seed")
    return xr.Dataset(
        {
            "sigma_z": (along, made.scattered(0.1 + 6 * t**3)),
            "logit_gradient_norm": (along, made.scattered(3 + 9 * t**2)),
            "logit_gradient_norm_std": (along, made.scattered(1 + 3 * t**2)),
            "weight_norm": (along, made.scattered(12 + 8 * t**4, 0.01)),
            "entropy": (along, made.scattered(2.3 - 1.9 * t**2)),
            "radius_sigma_z": (outwards, made.scattered(0.1 * radii**3.5)),
            "radius_entropy": (outwards, made.scattered(2.3 / (1 + (radii / 4) ** 4))),
        },
        {"training_step": STEPS, "radius": radii, "seed": np.arange(num_seeds)},
        _TITLES | {"weight_decay": 0.0},
    )


def properties(num_seeds: int = 3) -> xr.Dataset:
    made, t, T = _Made(num_seeds), _progress(STEPS), _progress(RATE_STEPS)
    C, ranks = np.array(CLASSES), np.arange(1, 13)
    counted, spectral = ("training_step", "num_classes", "seed"), ("training_step", "rank", "seed")
    rated = ("rate_step", "learning_rate", "seed")
    counts = np.round(C - 1 + np.outer(t * (1 - t) * 12, C / 10)).astype(int)
    rise = (0.4 + 8 * t * (1.15 - t))[:, None]
    spectrum = rise * np.where(ranks < 10, 10.0, 1.0) / ranks
    powers = made.rng.dirichlet(np.where(ranks < 11, 3.0, 0.3), (len(STEPS), num_seeds))
    powers = 0.8 * powers.transpose(0, 2, 1)
    rates = np.array(RATES)
    # Sharpness climbs to the limit of stability, where that is within reach, and falls.
    sharp = 4 + np.minimum(np.outer(T, 60 / rates**0.3), 2 / rates) * (1.2 - T**4)[:, None]
    lambda_max = made.scattered(sharp)
    # The largest rate diverges with the first seed.
    lambda_max[-2:, -1, 0] = np.nan
    data = xr.Dataset(
        {
            "hessian_num_outliers": (counted, made.counted(counts)),
            "gauss_newton_num_outliers": (counted, made.counted(counts - 1)),
            "top_power": (counted, np.minimum(made.scattered(np.outer(0.3 + t / 2, C**-0.1)), 1)),
            "top_power_chance": (counted, made.scattered(np.outer(0 * t + 1, C / 6e4), 0)),
            "largest_eigenvalue": (counted, made.scattered(rise * 10 + 0 * C)),
            "cosines": (spectral, np.sqrt(powers)),
            "gradient_power": (spectral, np.cumsum(powers, axis=1)),
            "hessian_eigenvalues": (spectral, -np.sort(-made.scattered(1.1 * spectrum), axis=1)),
            "gauss_newton_eigenvalues": (spectral, -np.sort(-made.scattered(spectrum), axis=1)),
            "lambda_max": (rated, lambda_max),
            "lambda_max_gauss_newton": (rated, made.scattered(0.9 * sharp)),
            "rate_loss": (rated, made.scattered(np.outer(2.3 * np.exp(-3 * T), rates**-0.1))),
            "rate_accuracy": (rated, made.scattered(np.outer(0.1 + 0.8 * T, rates**0.01), 0.01)),
            "stability_limit": ("learning_rate", 2 / rates),
        },
        {
            "training_step": STEPS,
            "rate_step": RATE_STEPS,
            "num_classes": C,
            "learning_rate": rates,
            "seed": np.arange(num_seeds),
        },
        _TITLES | {"momentum": 0.9, "rate_momentum": 0.0, "diverged": ""},
    )
    return data.assign(_parts(made, spectrum)).assign_coords(part=list(PARTS))


def _parts(made: _Made, spectrum: np.ndarray) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Class means in the first C − 1 eigenvectors, cross-class means after them; ranks in front."""
    ranks = np.arange(spectrum.shape[1])
    favoured = np.where(ranks[:, None] < 9, [8, 1, 1, 0.5], [0.5, 5, 3, 0.5])
    seeds, steps = made.num_seeds, len(spectrum)
    share = np.stack(
        [[made.rng.dirichlet(alpha, seeds) for alpha in favoured] for _ in range(steps)]
    )
    # Along (training_step, rank, seed, part).
    values = share * spectrum[:, :, None, None]
    largest = -np.sort(-values, axis=1)
    # Class means have rank C − 1 at the most, and true classes as much.
    largest[:, 9:, :, [0, 3]] = np.nan
    total = values.sum(1)
    return {
        "part_share": (("training_step", "gram_rank", "part", "seed"), share.swapaxes(2, 3)),
        "part_eigenvalues": (
            ("training_step", "part", "gram_rank", "seed"),
            largest.transpose(0, 3, 1, 2),
        ),
        "part_trace": (
            ("training_step", "part", "seed"),
            (total / total.sum(-1, keepdims=True)).swapaxes(1, 2),
        ),
    }


def logit_curvature(num_seeds: int = 3) -> xr.Dataset:
    made = _Made(num_seeds)
    networks, dims = ("FullyConnected", "SmallCNN"), ("stage", "network", "width", "seed")
    width = np.array(WIDTHS, dtype=float)
    fall = np.array([1.5, 0.5, 0.3, 0.2])[:, None, None] * np.stack([width**-0.5, width**-0.2])
    drift = np.array([np.nan, 0.2, 0.6, 1.5])[:, None, None] * np.stack([width**-0.6, width**-0.2])
    return xr.Dataset(
        {
            "ratio": (dims, made.scattered(fall)),
            "ratio_stderr": (dims, made.scattered(0.05 * fall)),
            "gauss_newton_share": (dims, made.scattered(1 / (1 + 0.4 * fall), 0.02)),
            "top_ratio": (dims, made.scattered(0.5 * fall)),
            "kernel_drift": (dims, made.scattered(drift)),
            "num_params": (
                ("network", "width", "seed"),
                made.scattered(np.outer([50_000, 30_000], width**2), 0),
            ),
            "stage_step": ("stage", [0, 7, 54, 400]),
        },
        {
            "network": list(networks),
            "width": width,
            "stage": list(STAGES),
            "seed": np.arange(num_seeds),
        },
        {name: _TITLES[name] for name in ("num_classes", "data_title")},
    )


def weight_scale(num_seeds: int = 3) -> xr.Dataset:
    made = _Made(num_seeds)
    # How far along each way is: initial weights scaled, trained ones scaled, and training.
    ways = {
        "": (("point", "radius", "seed"), np.stack([RADII**3 * 0.2, RADII**3 * 6])),
        "training_": (("training_step", "seed"), 0.1 + 6 * _progress(STEPS) ** 2),
    }
    data = {}
    for prefix, (dims, spread) in ways.items():
        sharp = 30 * spread / (1 + spread**2 / 10)
        data |= {
            f"{prefix}sigma_z": (dims, made.scattered(spread)),
            f"{prefix}entropy": (dims, made.scattered(2.3 / (1 + spread**2 / 4))),
            f"{prefix}lambda_max": (dims, made.scattered(sharp)),
            f"{prefix}gauss_newton_lambda_max": (dims, made.scattered(0.8 * sharp)),
            f"{prefix}relative_lambda_max": (dims, made.scattered(0.2 / (1 + spread))),
            f"{prefix}relative_mean_outlier": (dims, made.scattered(0.1 / (1 + spread))),
            f"{prefix}expected_mean_outlier": (dims, made.scattered(0.1 / (1 + spread))),
            f"{prefix}num_outliers": (dims, made.counted(0 * spread.astype(int) + 9)),
            f"{prefix}gauss_newton_num_outliers": (dims, made.counted(0 * spread.astype(int) + 8)),
            f"{prefix}top_power": (dims, np.minimum(made.scattered(0.6 - 0.03 * spread**0.3), 1)),
            f"{prefix}q_slsc": (dims, made.scattered(0.8 - 0.1 * spread**0.3, 0.02)),
            f"{prefix}q_sl": (dims, made.scattered(0.7 - 0.1 * spread**0.3, 0.02)),
            f"{prefix}q_dl": (dims, made.scattered(-0.02 - 0.005 * spread**0.3)),
            f"{prefix}trace_over_norm": (dims, made.scattered(3 + 0 * spread)),
            f"{prefix}weight_norm": (dims, made.scattered(12 + 0 * spread, 0.01)),
        }
    return xr.Dataset(
        data,
        {
            "point": ["initialisation", "trained"],
            "radius": RADII,
            "training_step": STEPS,
            "seed": np.arange(num_seeds),
        },
        _TITLES,
    )
