"""Tasks on a Ray cluster."""

import logging
import os
import sys
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from landscope.integrations.extra import extra
from landscope.system.cpus import available_cpus

with extra("ray"):
    import ray

Result = TypeVar("Result")

_OBJECT_STORE = 2**27
"""Bytes for what tasks hand over: names of files, for all that is measured lies in them."""


class RayExecutor(futures.Executor):
    """An executor whose tasks run on a Ray cluster, and are tried again where they fail.

    Workers import what this process imports, from the same folders: the machines of a cluster
    share them, or have the same packages installed.

    Parameters
    ----------
    address
        Of a cluster that runs: "auto" for one on this machine, "HOST:6379", "ray://HOST:10001".
        Without one, a cluster is started on this machine, which ends with this executor.
    num_cpus, num_gpus
        What each task has for itself.
    max_retries
        How often a task that raised, or whose worker died, is tried again.
    cluster_cpus
        CPUs of the cluster started here; all that this process may use if absent.

    Raises
    ------
    ValueError
        If the cluster started here has less than a task needs.
    ConnectionError
        If no cluster answers at `address`.

    Notes
    -----
    Where Ray is connected already, that cluster is used and left running.

    Examples
    --------
    >>> with RayExecutor(num_cpus=1, cluster_cpus=2) as executor:  # doctest: +SKIP
    ...     print(list(executor.map(abs, [-1, 2])))
    [1, 2]
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        num_cpus: float = 1,
        num_gpus: float = 0,
        max_retries: int = 2,
        cluster_cpus: int | None = None,
    ) -> None:
        self._connected_here = not ray.is_initialized()
        if self._connected_here:
            _connect(address, cluster_cpus)
        if address is None and self._connected_here:
            _check_room({"CPU": num_cpus, "GPU": num_gpus})
        self._task = ray.remote(
            num_cpus=num_cpus, num_gpus=num_gpus, max_retries=max_retries, retry_exceptions=True
        )(_call)
        self._outcomes: list[Future[Any]] = []

    def submit(
        self, function: Callable[..., Result], /, *args: Any, **kwargs: Any
    ) -> Future[Result]:
        """Compute function(*args, **kwargs) on the cluster."""
        outcome: Future[Result] = Future()
        told = self._task.remote(function, *args, **kwargs).future()
        told.add_done_callback(partial(_pass_on, outcome))
        self._outcomes.append(outcome)
        return outcome

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster, or end the one started here, once all tasks are done."""
        if wait and not cancel_futures:
            futures.wait(self._outcomes)
        if self._connected_here:
            ray.shutdown()


def _call(function: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    return function(*args, **kwargs)


def _connect(address: str | None, cluster_cpus: int | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    places = os.pathsep.join(os.path.abspath(place) for place in sys.path)
    shared: dict[str, Any] = {
        "runtime_env": {"env_vars": {"PYTHONPATH": places}},
        "logging_level": logging.ERROR,
        "log_to_driver": False,
    }
    if address is not None:
        ray.init(address, **shared)
        return
    ray.init(
        "local",
        num_cpus=cluster_cpus or available_cpus(),
        object_store_memory=_OBJECT_STORE,
        include_dashboard=False,
        # Nothing listens beyond this machine.
        _node_ip_address="127.0.0.1",
        **shared,
    )


def _check_room(needed: dict[str, float]) -> None:
    """Refuse what would wait for ever."""
    there = ray.cluster_resources()
    for kind, count in needed.items():
        if count > there.get(kind, 0):
            ray.shutdown()
            raise ValueError(
                f"num_{kind.lower()}s is {count:g}; the cluster started here has "
                f"{there.get(kind, 0):g}"
            )


def _pass_on(outcome: Future[Result], told: Future[Result]) -> None:
    failure = told.exception()
    if failure is None:
        outcome.set_result(told.result())
    else:
        # What a task raised, without the cluster's traceback around it.
        outcome.set_exception(getattr(failure, "cause", None) or failure)
