"""What was measured beside what the formulas say."""

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.scaling.collectives import NOTHING, Traffic, broadcast
from benchmarks.scaling.lanczos import SMALL_SUMS, eigsh
from benchmarks.scaling.measured import BASIS_SIZE, PRODUCTS, RANKS, K
from benchmarks.scaling.products import (
    BLOCKS_GATHERED,
    EXACT,
    FORWARD,
    GRADIENT,
    KEPT,
    PARTS_IN_WORK,
    SHARDED_VECTORS,
    VECTORS_IN_WORK,
    cut,
    gathered,
    summed,
)
from benchmarks.scaling.transformer import Transformer

ON_GPU = Path(__file__).parent.parent / "results" / "gpu.json"
GPT2 = Transformer("GPT-2 size", 12, 768, 3072, 12, 768, 50257, gated=False)
GPT = Transformer("GPT", 5, 256, 1024, 4, 256, 256, gated=False)
LENGTHS = {"GPT": (GPT, 4, 128), "GPT-2 size": (GPT2, 2, 512)}


def traffic(row: dict) -> Traffic:
    """Of one product."""
    D, R = row["parameters"], row["ranks"]
    if row["way"] == "replicated":
        return summed(4 * D, R)
    if row["way"] == "sharded":
        return cut(4 * -(-D // R), R)
    return gathered(4 * D, 4 * D, R, layers=row["units"], gathers=2, sweeps=2)


def of_step(row: dict) -> Traffic:
    """Of whole vectors, in a step of Lanczos."""
    if row["way"] == "replicated":
        return broadcast(4 * row["parameters"], row["ranks"])
    return NOTHING


def entries(row: dict) -> int:
    """Of a vector on one rank."""
    whole = row["way"] == "replicated"
    return row["parameters"] if whole else -(-row["parameters"] // row["ranks"])


def in_work(row: dict) -> float:
    """Bytes in a product beside v; on a CPU sums of gradients are in float64, twice the size."""
    whole, here = 4.0 * row["parameters"], 4.0 * entries(row)
    if row["way"] == "differences":
        layers = BLOCKS_GATHERED * 2 * whole / row["units"]
        return (SHARDED_VECTORS + 1) * here + layers
    if row["way"] == "sharded":
        return (1 + VECTORS_IN_WORK) * whole + PARTS_IN_WORK * here
    return VECTORS_IN_WORK * whole


def compared(rows: list[dict]) -> Iterator[str]:
    """Tables of measurement, formula and their ratio."""
    yield from _communication(rows)
    yield ""
    yield from _memory([row for row in rows if row["workload"] == "wide"])
    yield ""
    yield from _seconds([row for row in rows if row["workload"] == "decoder"])


def _communication(rows: list[dict]) -> Iterator[str]:
    yield (
        "| products | D | ranks | collectives | formula | bytes | formula | ratio "
        "| bytes of vectors in a step | formula | agreements in a step | formula |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        if row["ranks"] == 1:
            continue
        expected, step = traffic(row), of_step(row)
        yield (
            f"| {row['way']} | {row['parameters']:,} | {row['ranks']} | {row['calls']} "
            f"| {expected.calls:.0f} | {row['payload']:,} | {expected.payload:,.0f} "
            f"| {row['payload'] / expected.payload:.3f} | {row['payload_per_step']:,.0f} "
            f"| {step.payload:,.0f} | {row['agreements_per_step']:.1f} | {SMALL_SUMS} |"
        )


def _memory(rows: list[dict]) -> Iterator[str]:
    yield (
        "| products | ranks | basis, MB | formula | ratio | product, MB | formula | ratio "
        "| eigsh, MB | formula | ratio |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        run_of = eigsh(K, PRODUCTS, BASIS_SIZE)
        basis = 4.0 * entries(row) * run_of.capacity
        work = in_work(row)
        run = basis + 4.0 * entries(row) * run_of.results + work
        pairs = (row["basis_bytes"], basis), (row["product_rise"], work), (row["run_rise"], run)
        cells = " | ".join(
            f"{found / 1e6:.1f} | {said / 1e6:.1f} | {found / said:.2f}" for found, said in pairs
        )
        yield f"| {row['way']} | {row['ranks']} | {cells} |"


def _seconds(rows: list[dict]) -> Iterator[str]:
    yield "| products | ranks | one product, s | formula | ratio | of it collectives, alone |"
    yield "|---|---|---|---|---|---|"
    alone = {row["way"]: row["seconds"] for row in rows if row["ranks"] == 1}
    for row in rows:
        said = alone[row["way"]] / row["ranks"] + row["collectives_seconds"]
        shown = row["ranks"] < max(RANKS)  # there, two ranks share a core
        formula = f"{said:.3f} | {row['seconds'] / said:.2f}" if shown else "– | –"
        yield (
            f"| {row['way']} | {row['ranks']} | {row['seconds']:.3f} | {formula} "
            f"| {row['collectives_seconds']:.4f} |"
        )


def on_gpu() -> Iterator[str]:
    """Exact products on one GPU, as docs/benchmarks.md has them, beside the formulas."""
    yield (
        "| network | kept, MB | formula | ratio | Hv, gradients | by arithmetic "
        "| gradient, TFLOP/s | Hv, TFLOP/s |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for row in json.loads(ON_GPU.read_text())["products"]:
        if row["operator"] != "Hessian" or row["network"] not in LENGTHS:
            continue
        model, sequences, length = LENGTHS[row["network"]]
        tokens = sequences * length
        ours, seconds = row["competitors"]["Landscope"], row["gradient_seconds"]["median"]
        kept = 4 * (model.num_params + KEPT * model.activations(tokens, length))
        flops = model.forward_flops(tokens, length)
        yield (
            f"| {model.name} | {ours['kept_bytes'] / 1e6:.0f} | {kept / 1e6:.0f} "
            f"| {ours['kept_bytes'] / kept:.2f} | {ours['gradients']:.2f} "
            f"| {EXACT * FORWARD / GRADIENT:.2f} | {GRADIENT * flops / seconds / 1e12:.1f} "
            f"| {EXACT * flops / ours['seconds']['median'] / 1e12:.1f} |"
        )
