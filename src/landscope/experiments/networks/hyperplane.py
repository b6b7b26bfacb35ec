"""Property 4: the accuracy that training in random affine hyperplanes reaches."""

from collections.abc import Iterable, Sequence

import numpy as np
import xarray as xr

from landscope.experiments.claim import Claim, verdict
from landscope.experiments.networks import measurements
from landscope.experiments.networks.cell import Cell, Trained
from landscope.experiments.networks.gathered import gathered
from landscope.experiments.networks.grid import Grid
from landscope.experiments.networks.scale import (
    DATA_TITLES,
    FULLY_CONNECTED,
    NETWORK_TITLES,
    Scale,
)
from landscope.experiments.progress import Progress, silent
from landscope.hyperplanes import BasisKind
from landscope.training import AdamDescent, HyperplaneConfig, IntrinsicDimension, TrainConfig
from landscope.training.trainer import measured_problem

THRESHOLD = 0.9
PUBLISHED = 750.0
"""Li et al. 2018, arXiv:1804.08838, for 784–200–200–10 on MNIST."""

WIDTH = 200 / 256
"""Of FullyConnected, whose hidden layers then have 200 units."""

KIND_DIM = 100
_KINDS = (BasisKind.DENSE, BasisKind.GAUSSIAN, BasisKind.SPARSE, BasisKind.FASTFOOD)

Named = tuple[str, str]


def compute(seed: int = 0, progress: Progress = silent, *, grid: Grid, scale: Scale) -> xr.Dataset:
    """Train networks in random hyperplanes of growing dimension, and in all of weight space.

    Returns
    -------
    xarray.Dataset
        Test accuracy along (data, network, dim, seed), of full training along (data, network,
        seed); the intrinsic dimension with its interval; accuracy along (kind, seed) of one network
        for each kind of basis.
    """
    seeds, on = scale.hyperplane_seeds_from(seed), scale.hyperplane_networks
    sizes = {of: _num_params(scale, of) for of in on}
    cells = {
        (*of, dim, at): _cell(scale, of, at, dim, sizes[of])
        for of in on
        for dim in (0, *(dim for dim in scale.dims if dim <= sizes[of]))
        for at in seeds
    }
    of_kinds = next(of for of in reversed(on) if of[1] == FULLY_CONNECTED)
    kinds = {
        (kind, at): _cell(
            scale, of_kinds, at, min(KIND_DIM, max(scale.dims)), sizes[of_kinds], kind
        )
        for kind in _KINDS
        for at in seeds
    }
    trained = grid.trained([*cells.values(), *kinds.values()], progress)
    reached = dict(zip([*cells, *kinds], map(final_accuracy, trained), strict=True))
    accuracies = gathered(
        {_titled(key): _as_dataset(reached[key]) for key in cells},
        ["data", "network", "dim", "seed"],
        ["accuracy"],
    )
    in_planes = accuracies.drop_sel(dim=0).sortby("dim")
    full = accuracies["accuracy"].sel(dim=0, drop=True)
    found = _intrinsic(in_planes["accuracy"], full, sizes)
    by_kind = gathered(
        {(str(kind), at): _as_dataset(reached[kind, at]) for kind, at in kinds},
        ["kind", "seed"],
        ["accuracy"],
    )
    title = ", ".join((DATA_TITLES[of_kinds[0]], NETWORK_TITLES[of_kinds[1]]))
    return xr.merge(
        [
            in_planes,
            full.rename("full_accuracy").to_dataset(),
            found,
            by_kind.rename(accuracy="kind_accuracy"),
        ]
    ).assign_attrs(
        threshold=THRESHOLD,
        kind_dim=min(KIND_DIM, max(scale.dims)),
        kind_title=title,
        published_title="MNIST, FullyConnected",
        published_dimension=PUBLISHED,
        steps=scale.hyperplane_steps,
    )


def _cell(
    scale: Scale,
    of: Named,
    seed: int,
    dim: int,
    num_params: int,
    kind: BasisKind = BasisKind.FASTFOOD,
) -> Cell:
    """With dim 0, of all weights."""
    return Cell(_training(scale, of, seed, dim, num_params, kind), measurements.loss)


def _training(
    scale: Scale, of: Named, seed: int, dim: int, num_params: int, kind: BasisKind
) -> TrainConfig:
    data, network = of
    descent = AdamDescent()
    return scale.training(
        data,
        network,
        width=WIDTH if network == FULLY_CONNECTED else 1.0,
        steps=scale.hyperplane_steps,
        optimizer="adam",
        schedule="cosine",
        learning_rate=descent.rate_in_hyperplane(num_params, dim)
        if dim
        else descent.full_step_size,
        hyperplane=HyperplaneConfig(dim=dim or None, kind=kind),
        num_measurements=2,
        measure_examples=scale.few_examples,
        test_examples=None,
        seed=seed,
    )


def _num_params(scale: Scale, of: Named) -> int:
    config = _training(scale, of, 0, 1, 1, BasisKind.FASTFOOD)
    return measured_problem(config.model_copy(update={"measure_examples": 10})).num_params


def final_accuracy(trained: Trained) -> float:
    """On the test set, at the end; NaN where training diverged."""
    return float(trained.trajectory()["test_accuracy"].isel(training_step=-1))


def _as_dataset(accuracy: float) -> xr.Dataset:
    return xr.Dataset({"accuracy": accuracy})


def _titled(key: tuple[str, str, int, int]) -> tuple[str, str, int, int]:
    data, network, dim, seed = key
    return DATA_TITLES[data], NETWORK_TITLES[network], dim, seed


def _intrinsic(accuracy: xr.DataArray, full: xr.DataArray, sizes: dict[Named, int]) -> xr.Dataset:
    found = {}
    for (data, network), num_params in sizes.items():
        titles = {"data": DATA_TITLES[data], "network": NETWORK_TITLES[network]}
        one = accuracy.sel(titles).dropna("dim", how="all").transpose("dim", "seed")
        intrinsic = IntrinsicDimension(
            one["dim"].values, one.values, full.sel(titles).values, THRESHOLD, num_params
        ).to_dataset()
        found[tuple(titles.values())] = intrinsic.assign(num_params=num_params)
    names = ["dimension", "dimension_low", "dimension_high", "dimension_of_seed", "num_params"]
    return gathered(found, ["data", "network"], names)


def claims(dataset: xr.Dataset) -> list[Claim]:
    """Hold that few random dimensions are enough, and how many are against the published number."""
    found = {pair: dataset.sel(data=pair[0], network=pair[1]) for pair in _pairs(dataset)}
    shares = [float(one["dimension"] / one["num_params"]) for one in found.values()]
    return [
        Claim(
            "Paper: training works in a random hyperplane of far fewer dimensions than weights "
            f"({THRESHOLD:.0%} of the accuracy of full training in less than a tenth of D).",
            verdict(all(share < 0.1 for share in shares), any(share < 0.1 for share in shares)),
            "; ".join(_said_of_dimension(pair, one) for pair, one in found.items()),
        ),
        Claim(
            "Beyond the paper: accuracy grows with the dimension of the hyperplane.",
            *_growth(found.values()),
        ),
        *_published(dataset, found),
        _kinds(dataset),
    ]


def _pairs(dataset: xr.Dataset) -> Iterable[tuple[str, str]]:
    for data in dataset["data"].values.tolist():
        for network in dataset["network"].values.tolist():
            if bool(dataset["num_params"].sel(data=data, network=network).notnull()):
                yield data, network


def _said_of_dimension(pair: Sequence[str], one: xr.Dataset) -> str:
    low, high, at = (float(one[f"dimension{end}"]) for end in ("_low", "_high", ""))
    said = f"{at:.0f} ({low:.0f} to {high:.0f})" if np.isfinite(at) else "more than were tried"
    full = float(one["full_accuracy"].mean())
    return f"{', '.join(pair)}: {said} of {int(one['num_params']):,}, to {THRESHOLD:g} × {full:.3f}"


def _growth(found: Iterable[xr.Dataset]) -> tuple:
    steps = [one["accuracy"].mean("seed").dropna("dim").diff("dim").values for one in found]
    rises = np.concatenate(steps) > 0
    return verdict(bool(rises.all()), float(rises.mean()) > 0.8), (
        f"in {int(rises.sum())} of {rises.size} steps from one dimension to the next"
    )


def _published(dataset: xr.Dataset, found: dict[tuple[str, str], xr.Dataset]) -> list[Claim]:
    data, network = pair = tuple(dataset.attrs["published_title"].split(", "))
    if pair not in found:
        return []
    one = found[data, network]
    ratio = float(one["dimension"]) / PUBLISHED
    return [
        Claim(
            "Li et al. 2018 (arXiv:1804.08838): about 750 dimensions reach 90 % of the accuracy "
            "of a 784–200–200–10 network on MNIST (same order: within a factor of 3).",
            verdict(1 / 3 < ratio < 3),
            f"{_said_of_dimension(pair, one)}; {ratio:.2f} times the published number",
        )
    ]


def _kinds(dataset: xr.Dataset) -> Claim:
    mean = dataset["kind_accuracy"].mean("seed")
    error = dataset["kind_accuracy"].std("seed", ddof=1) / dataset.sizes["seed"] ** 0.5
    spread = float(mean.max() - mean.min())
    noise = float(np.sqrt(2) * error.max())
    said = ", ".join(
        f"{kind} {float(mean.sel(kind=kind)):.3f} ± {float(error.sel(kind=kind)):.3f}"
        for kind in dataset["kind"].values
    )
    return Claim(
        "Beyond the paper: the kind of random basis does not matter (means within 0.02 or twice "
        "their standard errors).",
        verdict(spread < max(0.02, 2 * noise)),
        f"{dataset.attrs['kind_title']}, d = {dataset.attrs['kind_dim']}: {said}",
    )
