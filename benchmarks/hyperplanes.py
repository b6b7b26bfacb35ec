"""The kinds of basis beside each other: seconds, memory, orthonormality, adjointness.

`python -m benchmarks.hyperplanes [--quick] [--device cuda] [--large] [--threads 2] [--out FILE]`
measures all over a grid of D and d, writes `results/hyperplanes.json` and prints its table, which
`--render FILE` prints of a stored one.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import landscope as ls
from benchmarks.memory import measured
from benchmarks.setting import setting
from benchmarks.timing import interleaved, seconds
from landscope.hyperplanes import Basis, BasisKind, draw_basis

RESULTS = Path(__file__).parent / "results"
KINDS = (BasisKind.DENSE, BasisKind.GAUSSIAN, BasisKind.SPARSE, BasisKind.FASTFOOD)
NUM_PARAMS = (10**4, 10**5, 10**6, 10**7)
DIMS = (10, 100, 1000)
# By whether the run is quick:
MOST_ENTRIES = {
    False: {BasisKind.DENSE: 2**31 // 4, BasisKind.GAUSSIAN: 2 * 10**9},
    True: {BasisKind.DENSE: 10**8, BasisKind.GAUSSIAN: 10**8},
}
"""Of a basis of this kind: the matrix within 2 GiB, a product within seconds."""
MOST_CHECKED = {False: 10**8, True: 10**7}
"""Entries of a basis of which PᵀP is measured."""
MOST_REMADE = 10**7
"""Entries of a basis that is made in float64 too, for the same."""
TIMES_MADE = 3
WAYS = ("apply", "transpose")
ROWS_AT_ONCE = 4096
LARGE = 10**8, 100
LARGE_KINDS = KINDS[1:]


@dataclass(frozen=True)
class Size:
    """D, d, and where the vectors are."""

    num_params: int
    dim: int
    device: str = "cpu"

    @property
    def entries(self) -> int:
        return self.num_params * self.dim

    def draw(self, kind: BasisKind, dtype: torch.dtype = torch.float32) -> Basis:
        return draw_basis(kind, self.num_params, self.dim, 0, dtype, self.device)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """θ and w."""
        generator = torch.Generator().manual_seed(1)
        theta, w = (torch.randn(n, generator=generator) for n in (self.dim, self.num_params))
        return theta.to(self.device), w.to(self.device)


def compare(size: Size, quick: bool) -> dict:
    """Every kind at one size, all products in the same rounds."""
    reasons = {kind: why_skipped(kind, size, quick) for kind in KINDS}
    kinds = {kind: {"skipped": reason} for kind, reason in reasons.items() if reason}
    makes, bases = timed_makes([kind for kind in KINDS if kind not in kinds], size)
    clone, products = timed_products(bases, size)
    held = peaked(size, hold_vectors, size)["peak_bytes"]
    for kind, P in bases.items():
        kinds[kind] = {"make": makes[kind]} | products[kind] | alone(kind, size, held)
        if size.entries <= MOST_CHECKED[quick]:
            kinds[kind]["orthonormality"] = orthonormality(P)
        if size.entries <= MOST_REMADE:
            remade = size.draw(kind, torch.float64)
            kinds[kind]["orthonormality_float64"] = orthonormality(remade)
    row = {"num_params": size.num_params, "dim": size.dim, "clone": clone}
    return row | {"kinds": {kind: kinds[kind] for kind in KINDS}}


def why_skipped(kind: BasisKind, size: Size, quick: bool) -> str | None:
    most = MOST_ENTRIES[quick].get(kind)
    if most is None or size.entries <= most:
        return None
    if kind is BasisKind.DENSE:
        return f"a matrix of {size.entries / 2**28:.1f} GiB, above {most / 2**28:.2g} GiB"
    return f"{size.entries:.0e} numbers drawn for a product, above {most:.0e}"


def timed_makes(kinds: list[BasisKind], size: Size) -> tuple[dict, dict]:
    """Seconds to make a basis of each kind, and the bases."""
    bases: dict[BasisKind, Basis] = {}

    def maker(kind: BasisKind) -> Callable[[], None]:
        return lambda: bases.update({kind: size.draw(kind)})

    makers = {kind: maker(kind) for kind in kinds}
    times = interleaved(makers, TIMES_MADE, size.device, warm_up=False)
    return {kind: found.as_json() for kind, found in times.items()}, bases


def timed_products(bases: dict[BasisKind, Basis], size: Size) -> tuple[dict, dict]:
    """Seconds to copy w, the unit; and of P @ θ and Pᵀ @ w, also in that unit."""
    theta, w = size.vectors()
    tasks: dict[Any, Callable[[], Tensor]] = {"clone": w.clone}
    for kind, P in bases.items():
        tasks[kind, "apply"] = lambda P=P: P @ theta
        tasks[kind, "transpose"] = lambda P=P: P.T @ w
    times = interleaved(tasks, device=size.device)
    unit = times["clone"]

    def both(kind: BasisKind) -> dict[str, dict]:
        found = {way: times[kind, way] for way in WAYS}
        return {way: t.as_json() | {"clones": t.median / unit.median} for way, t in found.items()}

    return unit.as_json(), {kind: both(kind) for kind in bases}


def peaked(size: Size, function: Callable, *arguments: object) -> dict[str, Any]:
    """What it returned, and its peak: of a process of its own, or of the GPU's allocator."""
    if size.device == "cpu":
        return measured(function, *arguments)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    returned = function(*arguments)
    return {"peak_bytes": torch.cuda.max_memory_allocated() - before, "returned": returned}


def alone(kind: BasisKind, size: Size, held: int) -> dict:
    """Memory above what is held by θ and w, and the adjoint error."""
    found = peaked(size, make_and_apply, kind, size)
    if "error" in found:
        return {"error": found["error"]}
    error = found["returned"]["adjoint_error"]
    return {"bytes_above_vectors": found["peak_bytes"] - held, "adjoint_error": error}


def hold_vectors(size: Size) -> None:
    """The least that any product needs."""
    size.vectors()


def make_and_apply(kind: BasisKind, size: Size) -> dict[str, float]:
    """Make a basis and apply it once each way; |⟨Pθ, w⟩ − ⟨θ, Pᵀw⟩|/(‖Pθ‖‖w‖)."""
    theta, w = size.vectors()
    make_s, P = clocked(lambda: size.draw(kind), size)
    apply_s, image = clocked(lambda: P @ theta, size)
    product, lengths = dot(image, w), (dot(image, image) * dot(w, w)) ** 0.5
    del image
    transpose_s, preimage = clocked(lambda: P.T @ w, size)
    error = abs(product - dot(theta, preimage)) / lengths
    return {
        "make_s": make_s,
        "apply_s": apply_s,
        "transpose_s": transpose_s,
        "adjoint_error": error,
    }


def clocked(run: Callable[[], Any], size: Size) -> tuple[float, Any]:
    returned: list[Any] = []
    return seconds(lambda: returned.append(run()), size.device), returned.pop()


def dot(a: Tensor, b: Tensor) -> float:
    """Their inner product in float64, with no copy in float64 of a whole vector."""
    pieces = zip(a.split(2**18), b.split(2**18), strict=True)
    return float(sum(x.double() @ y.double() for x, y in pieces))


def orthonormality(P: Basis) -> dict[str, float]:
    """‖PᵀP − I‖₂, computed in float64, and what P says of it."""
    # Of equal entries, as in a sparse basis, a sum over all rows at once would round one way.
    pieces = (rows.double() for rows in P.to_dense().split(ROWS_AT_ONCE))
    gram = torch.stack([rows.T @ rows for rows in pieces]).sum(0)
    deviation = torch.linalg.eigvalsh(gram) - 1
    return {"measured": float(deviation.abs().max()), "bound": P.orthonormality_bound}


def compare_large(device: str) -> dict:
    """What is too large to keep as a matrix: one process for each kind."""
    size = Size(*LARGE, device)
    held = peaked(size, hold_vectors, size)["peak_bytes"]
    kinds = {kind: peaked(size, make_and_apply, kind, size) for kind in LARGE_KINDS}
    row = {"num_params": size.num_params, "dim": size.dim, "vectors_alone_bytes": held}
    return row | {"kinds": kinds}


def versions() -> dict[str, str]:
    """Of what is measured here, the competitors of `benchmarks.run` being no part of it."""
    return {
        "landscope": ls.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def table(results: dict) -> str:
    """Markdown, of what was measured or stored."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: dict) -> Iterator[str]:
    found = results["setting"]
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    where = f"{found['machine']}, {found['cores']} cores, {found['threads']} threads"
    gpu = f", {found['gpu']}" if found["gpu"] else ""
    quick = ", quick" if found["quick"] else ""
    yield f"{found['date']}{quick}. {where}{gpu}, Python {found['python']}; {versions}.\n"
    yield from _grid(results["grid"], bool(found["gpu"]))
    if "large" in results:
        yield ""
        yield from _large(results["large"], bool(found["gpu"]))


def _grid(rows: list[dict], on_gpu: bool) -> Iterator[str]:
    whose = "the GPU's allocator" if on_gpu else "a process that makes P and applies both once"
    yield (
        "float32; medians of interleaved rounds. A clone is one copy of D numbers. Memory is the "
        f"peak of {whose}, above that of holding θ and w alone: with P itself, it has Pθ and all "
        "that is temporary. ‖PᵀP − I‖₂ is computed in float64, of P in float32 and in float64.\n"
    )
    yield (
        "| D | d | kind | make | Pθ | Pᵀw | Pθ, clones | Pᵀw, clones | memory, MB "
        "| bytes a weight | ‖PᵀP − I‖₂ (bound) | in float64 | adjoint error |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        place = f"| {row['num_params']:,} | {row['dim']:,} |"
        yield f"{place} clone | | {_time(row['clone']['median'])} | | 1 | | | | | | |"
        for kind, entry in row["kinds"].items():
            cells = _cells(entry, row["num_params"])
            yield f"{place} {kind} | {' | '.join(cells + [''] * (10 - len(cells)))} |"


def _cells(entry: dict, num_params: int) -> list[str]:
    if "skipped" in entry:
        return [f"skipped: {entry['skipped']}"]
    times = [_time(entry[of]["median"]) for of in ("make", *WAYS)]
    clones = [f"{entry[way]['clones']:.3g}" for way in WAYS]
    if "error" in entry:
        return [*times, *clones, entry["error"]]
    above = entry["bytes_above_vectors"]
    each = f"{above / num_params:.1f}" if num_params >= 10**6 else ""
    norms = [_norm(entry.get(of)) for of in ("orthonormality", "orthonormality_float64")]
    memory = [f"{above / 2**20:.1f}", each]
    return [*times, *clones, *memory, *norms, f"{entry['adjoint_error']:.0e}"]


def _norm(found: dict | None) -> str:
    return f"{found['measured']:.1e} ({found['bound']:.1e})" if found else ""


def _large(found: dict, on_gpu: bool) -> Iterator[str]:
    whose = "on the GPU" if on_gpu else "of a process of its own"
    held = found["vectors_alone_bytes"]
    yield (
        f"D = {found['num_params']:,}, d = {found['dim']:,}, each once. Peak memory is all "
        f"{whose}; θ and w alone take {held / 1e9:.2f} GB of it.\n"
    )
    yield "| kind | make | Pθ | Pᵀw | total | peak, GB | adjoint error |"
    yield "|---|---|---|---|---|---|---|"
    for kind, entry in found["kinds"].items():
        if "error" in entry:
            yield f"| {kind} | {entry['error']} | | | | | |"
            continue
        once = entry["returned"]
        parts = [once[part] for part in ("make_s", "apply_s", "transpose_s")]
        times = " | ".join(_time(part) for part in [*parts, sum(parts)])
        yield (
            f"| {kind} | {times} | {entry['peak_bytes'] / 1e9:.2f} | {once['adjoint_error']:.0e} |"
        )


def _time(took: float) -> str:
    for unit, name in ((1.0, "s"), (1e-3, "ms")):
        if took >= unit:
            return f"{took / unit:.3g} {name}"
    return f"{took / 1e-6:.3g} µs"


def measure(quick: bool, device: str, large: bool) -> dict:
    results = {"setting": setting(quick, device, versions()), "grid": []}
    for num_params in NUM_PARAMS:
        for dim in DIMS:
            started = time.perf_counter()
            results["grid"].append(compare(Size(num_params, dim, device), quick))
            took = time.perf_counter() - started
            print(f"D={num_params:,} d={dim}: {took:.1f} s", file=sys.stderr, flush=True)
    if large:
        results["large"] = compare_large(device)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="no matrix or draw above 1e8 entries")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--large", action="store_true", help="D = 10⁸ too, with no dense basis")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="default: results/hyperplanes{,_quick,_gpu}.json")
    parser.add_argument("--render", type=Path, help="only print the table of this JSON")
    options = parser.parse_args()
    if options.render:
        print(table(json.loads(options.render.read_text())))
        return
    if options.device == "cuda" and not torch.cuda.is_available():
        print("No GPU is present: nothing was measured.")
        return
    torch.set_num_threads(options.threads)
    # Imported before sub-processes start, and no competitor: these need not be installed.
    multiprocessing.set_forkserver_preload(["landscope.hyperplanes"])
    results = measure(options.quick, options.device, options.large)
    kind = "_gpu" if options.device == "cuda" else "_quick" if options.quick else ""
    out = options.out or RESULTS / f"hyperplanes{kind}.json"
    out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
