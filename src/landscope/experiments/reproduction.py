"""A figure of the paper made anew, into a run folder: numbers, tables, claims."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import xarray as xr

from landscope.arguments import choice
from landscope.experiments.claim import Claim
from landscope.experiments.network_growth import network_growth
from landscope.experiments.networks.grid import Grid
from landscope.experiments.networks.scale import SCALES, Scale
from landscope.experiments.progress import Progress, silent
from landscope.experiments.tables import write_tables
from landscope.runs import Run
from landscope.zoo import DATASETS


@dataclass(frozen=True)
class Reproduction:
    """How a figure is made anew.

    Attributes
    ----------
    compute : callable
        (seed, progress) → Dataset of all that is drawn, with more keywords by `shows`.
    claims : callable
        Dataset → the claims held against it.
    shows : {"model", "model and network", "networks", "networks on any data"}
        The random model alone; it beside a network whose `growth`, what `network_growth`
        returns, is given; or networks that are trained in the cells of a `grid` at a `scale`, and
        on `datasets` where they can be chosen.
    smoke : mapping
        More keywords of `compute` at the scale `smoke`, where no grid of networks has that scale.
    """

    compute: Callable[..., xr.Dataset]
    claims: Callable[[xr.Dataset], list[Claim]]
    shows: Literal["model", "model and network", "networks", "networks on any data"] = "model"
    smoke: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trains_networks(self) -> bool:
        """Whether there is a grid of networks, small or large."""
        return self.shows.startswith("networks")


@dataclass(frozen=True)
class Networks:
    """How large a figure is, and how its networks are trained.

    Attributes
    ----------
    scale : str
        A key of `SCALES`. Figures of the random model are smaller at `smoke` alone.
    datasets : sequence of str
        Instead of those of the scale, where the figure lets them be chosen.
    grid : Grid, optional
        Where cells are computed; in the folder `cells` of the run if absent.
    """

    scale: str = "quick"
    datasets: Sequence[str] = ()
    grid: Grid | None = None

    def __post_init__(self) -> None:
        choice("scale", self.scale, SCALES)
        if unknown := set(self.datasets) - set(DATASETS):
            raise ValueError(
                f"data names {', '.join(sorted(unknown))}; accepted are {', '.join(DATASETS)}"
            )


def reproduce(
    name: str,
    how: Reproduction,
    out: str | Path,
    *,
    seed: int = 0,
    network: str | Path | None = None,
    networks: Networks | None = None,
    progress: Progress = silent,
) -> Run:
    """Make a figure anew into a run folder, where it is not there yet.

    Parameters
    ----------
    name : str
        Name of the figure.
    how : Reproduction
        What computes it.
    out : path
        Run folder; gets `snapshots`, `tables` and `summary.json`.
    seed : int
        Of everything drawn at random.
    network : path, optional
        Run folder of a trained network to compare with; one is trained where it is needed and
        absent.
    networks : Networks, optional
        How large the figure is, and how networks are trained where it trains a grid of them.
    progress : callable
        Called as progress(done, total, doing).

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        If a network or data sets are given to a figure that does not take them, or `out` holds
        another run.
    """
    networks = networks or Networks()
    if network is not None and how.shows != "model and network":
        shown = "networks of its own" if how.trains_networks else "the random model alone"
        raise ValueError(f"network is {str(network)!r}; {name} shows {shown}")
    if networks.datasets and how.shows != "networks on any data":
        raise ValueError(f"data is {','.join(networks.datasets)!r}; {name} has its own")
    data_root = networks.grid.data_root if networks.grid else None
    scale = SCALES[networks.scale].of_files(data_root) if how.trains_networks else None
    run = Run.create(out, _identity(name, how, seed, network, networks, scale))
    if not run.steps():
        extra = dict(how.smoke) if networks.scale == "smoke" else {}
        if how.shows == "model and network":
            extra["growth"] = network_growth(network, run.path / "network", seed, progress)
        if scale is not None:
            extra |= {"grid": networks.grid or Grid(run.path / "cells"), "scale": scale}
        if networks.datasets:
            extra["datasets"] = networks.datasets
        run.write_snapshot(0, how.compute(seed=seed, progress=progress, **extra))
    dataset = run.snapshot(0)
    write_tables(dataset, run.path / "tables")
    run.write_summary(
        {
            "claims": [asdict(claim) for claim in how.claims(dataset)],
            "config": run.config,
            "versions": {"landscope": version("landscope"), "numpy": version("numpy")},
        }
    )
    run.close()
    return run


def _identity(
    name: str,
    how: Reproduction,
    seed: int,
    network: str | Path | None,
    networks: Networks,
    scale: Scale | None,
) -> dict[str, Any]:
    config: dict[str, Any] = {"experiment": name, "seed": seed}
    if how.shows == "model and network":
        config["network"] = "trained" if network is None else str(network)
    if scale is not None:
        config |= {"scale": networks.scale, "sizes": asdict(scale)}
    elif how.smoke and networks.scale == "smoke":
        config["scale"] = "smoke"
    if networks.datasets:
        config["data"] = list(networks.datasets)
    return config
