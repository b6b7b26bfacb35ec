"""The real thing on a few ranks: collectives, bytes, memory and seconds of a product and a run."""

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import torch
import torch.distributed as dist

import landscope as ls
from benchmarks.scaling.counted import Counted, counted
from benchmarks.scaling.resident import rise
from benchmarks.scaling.workloads import OPERATORS, WORKLOADS
from landscope.linalg.eigenpairs import Eigenpairs

RANKS = (1, 2, 4)
K, BASIS_SIZE, PRODUCTS = 3, 12, 16
REPEATS = 3


def measure() -> list[dict]:
    """Every way on every number of ranks, each rank a process of one thread."""
    return [row for ranks in RANKS for row in _largest(on_ranks(ranks, _all_ways))]


def on_ranks(ranks: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What a function gives in each of so many new processes of one gloo group."""
    with tempfile.TemporaryDirectory() as folder:
        act = partial(_in_group, ranks, f"file://{folder}/store", function, arguments)
        with ProcessPoolExecutor(ranks, mp_context=get_context("spawn")) as pool:
            return list(pool.map(act, range(ranks)))


def _in_group(
    ranks: int, store: str, function: Callable[..., Any], arguments: tuple, rank: int
) -> Any:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=ranks)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*arguments)
    finally:
        dist.destroy_process_group()


def _largest(found: list[list[dict]]) -> list[dict]:
    """Of the rank that holds or takes most; what is counted is the same on all."""
    return [
        {name: max(row[name] for row in rows) for name in rows[0]}
        for rows in zip(*found, strict=True)
    ]


def _all_ways() -> list[dict]:
    group = dist.group.WORLD
    rows = []
    for name, workload in WORKLOADS.items():
        units = len(workload()[1]) + (name == "decoder")
        for way, make in OPERATORS.items():
            started = time.perf_counter()
            row = {"way": way, "workload": name, "units": units, "ranks": group.size()}
            rows.append(row | measured(make(workload, group)))
            if group.rank() == 0:
                taken = time.perf_counter() - started
                print(f"{way}, {name}, {group.size()} ranks: {taken:.0f} s", flush=True)
    return rows


def measured(H: Any) -> dict:
    """Of products with an operator, and of a Lanczos run."""
    space = H.space
    v = space.random(1, torch.Generator().manual_seed(0))[:, 0]
    for _ in range(2):
        H @ v
    with counted() as product:
        H @ v
    product_rise = rise(lambda: H @ v)
    with counted() as run:
        pairs: list[Eigenpairs] = []
        run_rise = rise(lambda: pairs.append(_run(H)))
    count = pairs[0].num_products
    return {
        "parameters": space.dim,
        "calls": len(product.of_vectors),
        "payload": product.payload,
        "agreements": product.agreements,
        "agreements_per_step": run.agreements / count - product.agreements,
        "payload_per_step": run.payload / count - product.payload,
        "basis_bytes": _bytes_of_basis(space),
        "product_rise": product_rise,
        "run_rise": run_rise,
        "seconds": _median_seconds(lambda: H @ v),
        "collectives_seconds": _median_seconds(lambda: _again(product)),
    }


def _run(H: Any) -> Eigenpairs:
    """Of so many products, converged or not."""
    return ls.eigsh(H, k=K, basis_size=BASIS_SIZE, max_products=PRODUCTS)


def _bytes_of_basis(space: Any) -> int:
    return space.basis(BASIS_SIZE + K + 2).block(0, BASIS_SIZE + K + 2).nbytes


def _median_seconds(act: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        act()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _again(product: Counted) -> None:
    """The same collectives with nothing in between."""
    ranks = dist.get_world_size()
    for name, size in product.calls:
        whole = torch.zeros(size // 4)
        if name.startswith("all_gather"):
            dist.all_gather_into_tensor(whole, torch.zeros(len(whole) // ranks))
        elif name.startswith("reduce_scatter"):
            dist.reduce_scatter_tensor(torch.zeros(len(whole) // ranks), whole)
        elif name == "broadcast":
            dist.broadcast(whole, 0)
        else:
            dist.all_reduce(whole)
