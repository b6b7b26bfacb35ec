"""What computes the cells of a sweep: processes of this machine, or a Ray cluster."""

import math
from functools import partial

from landscope.arguments import real, shown, whole
from landscope.experiments.networks.grid import Engine
from landscope.experiments.processes import MOST_PROCESSES, Processes, free_processes
from landscope.problem.checks import checked_device

ENGINES = ("processes", "ray")


def choose_engine(
    name: str = "processes",
    *,
    address: str | None = None,
    processes: int | None = None,
    cpus: int = 1,
    gpus: float | None = None,
    retries: int = 2,
    device: str = "cpu",
) -> Engine:
    """Choose what computes cells.

    Parameters
    ----------
    name : str
        "processes" of this machine, or "ray" for a Ray cluster.
    address : str, optional
        Of a Ray cluster that runs; one is started on this machine if absent.
    processes : int, optional
        Cells at the same time on this machine; by default as many as its CPUs have room for, and
        one on a GPU. A cluster that runs decides for itself.
    cpus : int
        Of each cell.
    gpus : float, optional
        Of each cell on Ray, where two cells share a GPU with 0.5; by default one where `device` is
        no CPU.
    retries : int
        How often a cell that failed is tried again.
    device : str
        Where cells are computed.

    Returns
    -------
    callable
        Begins an executor.

    Raises
    ------
    ValueError
        If these do not fit together.
    ImportError
        If Ray is asked for and not installed.

    Examples
    --------
    >>> choose_engine("slurm")
    Traceback (most recent call last):
    ...
    ValueError: engine is 'slurm'; accepted are processes, ray
    """
    if name not in ENGINES:
        raise ValueError(f"engine is {shown(name)}; accepted are {', '.join(ENGINES)}")
    if processes is not None:
        whole("processes", processes, 1, MOST_PROCESSES)
    whole("cpus", cpus, 1, MOST_PROCESSES)
    if gpus is not None:
        real("gpus", gpus, f"[0, {MOST_PROCESSES}]")
    whole("retries", retries, 0, MOST_PROCESSES)
    count = processes or free_processes(device, cpus)
    if name == "processes":
        for choice, given in (("address", address), ("gpus", gpus)):
            if given is not None:
                raise ValueError(f"{choice} is {given!r}; only the engine ray takes it")
        checked_device(device)
        return partial(Processes, count, retries)
    if address is not None and processes is not None:
        raise ValueError(
            f"processes is {processes}; the cluster at {address} decides how many cells it "
            "computes at a time"
        )
    if gpus and device == "cpu":
        raise ValueError(f"gpus is {gpus:g}; the device is cpu, which uses none")
    # Not before it is asked for: it is an extra.
    from landscope.integrations.ray import RayExecutor

    each = (0.0 if device == "cpu" else 1.0) if gpus is None else gpus
    return partial(
        RayExecutor,
        address,
        num_cpus=cpus,
        num_gpus=each,
        max_retries=retries,
        cluster_cpus=math.ceil(count * cpus),
    )
