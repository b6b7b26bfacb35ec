"""Hessian– and Gauss–Newton–vector products: seconds, gradients, memory, error."""

import time
import warnings
from collections.abc import Callable

import torch

from benchmarks import peers, reference
from benchmarks.memory import measured
from benchmarks.networks import FOUR, LARGE, Workload
from benchmarks.timing import interleaved

BLOCK = 8
QUICK_SIZES = {"ResNet-20": 32}
BLOCKS = {True: ("MLP",), False: ("SmallCNN", "MLP", "GPT")}
"""Networks on which a block of vectors is multiplied too, quick or full."""
QUICK_MEMORY = (("SmallCNN", "Hessian"), ("GPT", "Hessian"))
"""What the quick run measures of memory."""
SLOWER_METHODS = ("recomputed", "forward_over_reverse")
GRADIENT = "gradient"

OPERATORS: dict[str, tuple[dict[str, Callable], Callable]] = {
    "Hessian": (peers.HESSIANS, reference.hessian_vector),
    "Gauss-Newton": (peers.GAUSS_NEWTONS, reference.gauss_newton_vector),
}


def compare(quick: bool, device: str = "cpu") -> list[dict]:
    networks = FOUR | LARGE if device == "cuda" else FOUR
    rows = []
    for name in networks:
        for operator in OPERATORS:
            rows.append(compare_one(name, operator, quick, device))
            print(_line(rows[-1]), flush=True)
    return rows


def compare_one(name: str, operator: str, quick: bool, device: str = "cpu") -> dict:
    """All competitors on one network, in gradients on the same batch."""
    workload = _workload(name, quick, device)
    builders, exact = OPERATORS[operator]
    builders = dict(builders)
    if not quick:
        ours = builders[peers.LANDSCOPE]
        for method in SLOWER_METHODS:
            builders[f"{peers.LANDSCOPE}, {method}"] = lambda w, m=method: ours(w, m)
    v, V = workload.vector(0), workload.vector(1, BLOCK)
    true = exact(workload, v)
    competitors: dict[str, dict] = {}
    products: dict[str, Callable] = {GRADIENT: peers.gradient(workload)}
    blocks: dict[str, Callable] = {GRADIENT: products[GRADIENT]}
    for label, build in builders.items():
        entry = competitors[label] = {}
        own = workload.copy()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                started = time.perf_counter()
                operator_itself = build(own)
                matvec = peers.product(label, operator_itself, own)
                matvec(v)
                entry["prepare_and_first_s"] = time.perf_counter() - started
                entry["relative_error"] = reference.relative_error(matvec(v), true)
        except Exception as error:  # a peer that fails is a result
            entry["error"] = f"{type(error).__name__}: {error}"[:300]
            continue
        products[label] = lambda matvec=matvec: matvec(v)
        if name in BLOCKS[quick] and label in OPERATORS[operator][0]:
            blocks[label] = _block(label, matvec, V)
        if label.startswith(peers.LANDSCOPE):
            told = operator_itself.explain()
            entry |= {"method": told.method.value, "kept_bytes": told.kept_bytes}
            entry["block_side_by_side"] = told.side_by_side
    times = interleaved(products, device=device)
    block_times = interleaved(blocks, device=device, warm_up=False) if len(blocks) > 1 else {}
    unit = times[GRADIENT].median
    for label, entry in competitors.items():
        if label in times:
            entry["seconds"] = times[label].as_json()
            entry["gradients"] = times[label].median / unit
        if label in block_times:
            each = block_times[label].median / BLOCK
            entry["block_gradients_per_vector"] = each / block_times[GRADIENT].median
    memory = device == "cpu" and (not quick or (name, operator) in QUICK_MEMORY)
    if memory:
        for label, entry in competitors.items():
            if "error" not in entry and label in OPERATORS[operator][0]:
                entry |= _peak(name, operator, label, quick)
    row = {"network": name, "operator": operator, "parameters": workload.num_params}
    row |= {"terms": sum(y.numel() for _, y in workload.batches)}
    row |= {"gradient_seconds": times[GRADIENT].as_json(), "competitors": competitors}
    if memory:
        row["gradient_peak_bytes"] = measured(hold_gradient, name, quick)["peak_bytes"]
    return row


def hold_gradient(name: str, quick: bool) -> None:
    """What the model, the data and one gradient take, for comparison."""
    peers.gradient(_workload(name, quick, "cpu"))()


def hold_product(name: str, operator: str, label: str, quick: bool) -> None:
    """Preparation and three products of one competitor alone."""
    workload = _workload(name, quick, "cpu")
    matvec = peers.product(label, OPERATORS[operator][0][label](workload), workload)
    for _ in range(3):
        matvec(workload.vector(0))


def _peak(name: str, operator: str, label: str, quick: bool) -> dict:
    found = measured(hold_product, name, operator, label, quick)
    return {"peak_bytes": found.get("peak_bytes"), "memory_error": found.get("error")}


def _workload(name: str, quick: bool, device: str) -> Workload:
    build = (FOUR | LARGE)[name]
    small = quick and name in QUICK_SIZES
    return (build(QUICK_SIZES[name]) if small else build()).to(device)


def _block(label: str, matvec: Callable, V: torch.Tensor) -> Callable:
    """D × k at once where there is such a product, else one after the other."""
    if label.startswith((peers.LANDSCOPE, peers.CURVLINOPS)):
        return lambda: matvec(V)
    columns = [column.contiguous() for column in V.T]
    return lambda: [matvec(column) for column in columns]


def _line(row: dict) -> str:
    costs = ", ".join(
        f"{label} {entry['gradients']:.2f} ({entry['relative_error']:.0e})"
        if "gradients" in entry
        else f"{label} failed"
        for label, entry in row["competitors"].items()
    )
    return f"{row['operator']} product, {row['network']}, in gradients (error): {costs}"
