"""A figure of the paper made anew, into a run folder: numbers, tables, claims."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xarray as xr

from landscope.experiments.claim import Claim
from landscope.experiments.network_growth import network_growth
from landscope.experiments.progress import Progress, silent
from landscope.experiments.tables import write_tables
from landscope.runs import Run


@dataclass(frozen=True)
class Reproduction:
    """How a figure is made anew.

    Attributes
    ----------
    compute : callable
        (seed, progress) → Dataset of all that is drawn; with `needs_network` also `growth`, what
        `network_growth` returns.
    claims : callable
        Dataset → the claims held against it.
    needs_network : bool
        Whether something is measured on a network beside the model.
    """

    compute: Callable[..., xr.Dataset]
    claims: Callable[[xr.Dataset], list[Claim]]
    needs_network: bool = False


def reproduce(
    name: str,
    how: Reproduction,
    out: str | Path,
    *,
    seed: int = 0,
    network: str | Path | None = None,
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
    progress : callable
        Called as progress(done, total, doing).

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        If a network is given to a figure that shows none, or `out` holds another run.
    """
    if network is not None and not how.needs_network:
        raise ValueError(f"network is {str(network)!r}; {name} shows the random model alone")
    config: dict[str, Any] = {"experiment": name, "seed": seed}
    if how.needs_network:
        config["network"] = "trained" if network is None else str(network)
    run = Run.create(out, config)
    if not run.steps():
        extra = {}
        if how.needs_network:
            extra["growth"] = network_growth(network, run.path / "network", seed, progress)
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
    return run
