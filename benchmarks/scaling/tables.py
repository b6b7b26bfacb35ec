"""The tables of docs/scaling.md, so that no figure in them is written by hand."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby

from benchmarks.scaling.lanczos import Run, density, eigsh, selective_density
from benchmarks.scaling.machine import H100_NODES
from benchmarks.scaling.plan import Plan, plan
from benchmarks.scaling.products import (
    Product,
    Sizes,
    differences,
    exact_by_layer,
    replicated,
    sharded,
)
from benchmarks.scaling.transformer import PUBLISHED, Transformer

RANKS = (8, 64, 256, 1024)
RUNS = (eigsh(), density(), density(1))
BUILT = (
    ("replicated", replicated, "device"),
    ("sharded", sharded, "device"),
    ("sharded", sharded, "host"),
    ("differences", differences, "device"),
    ("differences", differences, "host"),
)


def tables() -> dict[str, str]:
    """Markdown by the name of the table's place in the page."""
    return {
        "machine": "\n".join(_machine()),
        "built": "\n".join(_built()),
        "planned": "\n".join(_planned()),
        "lengths": "\n".join(_lengths()),
    }


def _machine() -> Iterator[str]:
    m = H100_NODES
    yield "| figure | value in the formulas |"
    yield "|---|---|"
    yield f"| memory of a GPU | {m.memory / 1e9:.1f} GB |"
    yield f"| its bandwidth | {m.memory_rate / 1e12:.2f} TB/s |"
    for name, rate in m.flops.items():
        yield f"| matrix products in {name} | {rate / 1e12:.0f} TFLOP/s |"
    yield f"| a ring inside a node | {m.inside / 1e9:.0f} GB/s |"
    yield f"| a ring through nodes | {m.across / 1e9:.0f} GB/s |"
    yield f"| a hop inside, across | {m.hop_inside * 1e6:.0f} µs, {m.hop_across * 1e6:.0f} µs |"
    yield (
        f"| host memory for bases, disk | {m.host_memory / 1e12:.1f} TB and "
        f"{m.disk / 1e12:.0f} TB per node |"
    )
    yield (
        f"| from a GPU to host memory, to disk | {m.host_rate / 1e9:.0f} GB/s, "
        f"{m.disk_rate / 1e9:.0f} GB/s |"
    )


def _built() -> Iterator[str]:
    for model in PUBLISHED:
        yield f"**{model.name}**, D = {model.num_params / 1e9:.3g} · 10⁹, float32\n"
        yield from _head()
        for way, function, storage in BUILT:
            yield from _rows(way, _plans(function, model, storage, RUNS, "float32"))
        yield ""


def _planned() -> Iterator[str]:
    runs = (replace(eigsh(), results=0), density(1), selective_density())
    for model in PUBLISHED:
        yield f"**{model.name}**, factors in bfloat16, sums and vectors in float32\n"
        yield from _head(runs)
        for way, function, storage in (
            ("differences", differences, "host"),
            ("exact, by layer", exact_by_layer, "device"),
            ("exact, by layer", exact_by_layer, "host"),
        ):
            yield from _rows(way, _plans(function, model, storage, runs, "bfloat16"))
        yield ""


def _lengths() -> Iterator[str]:
    lengths = (512, 2048, 8192)
    yield f"| model | {' | '.join(f'{n} tokens, whole' for n in lengths)} |" + "".join(
        f" {n}, checkpointed |" for n in lengths
    )
    yield "|---|" + "---|" * (2 * len(lengths))
    for model in PUBLISHED:
        whole = (4 * 6 * model.activations(n, n) for n in lengths)
        fused = (4 * model.checkpointed(n) for n in lengths)
        yield f"| {model.name} | " + " | ".join(_gigabytes(x) for x in (*whole, *fused)) + " |"


def _head(runs: tuple[Run, ...] = RUNS) -> Iterator[str]:
    names = " | ".join(run.name for run in runs)
    yield f"| products | basis | GPUs | GB | one product | {names} | takes most |"
    yield "|---|---|---|---|---|" + "---|" * len(runs) + "---|"


Row = tuple[int, tuple[Plan, ...]]


def _plans(
    way: Callable[[Sizes, int], Product],
    model: Transformer,
    storage: str,
    runs: tuple[Run, ...],
    factors: str,
) -> list[Row]:
    """For each number of GPUs the runs."""
    return [
        (
            ranks,
            tuple(
                plan(way, Sizes(model, H100_NODES, ranks, factors=factors), run, storage)
                for run in runs
            ),
        )
        for ranks in RANKS
    ]


def _rows(way: str, plans: list[Row]) -> Iterator[str]:
    """A row for each number of GPUs; those on which nothing fits in one."""
    for fits, group in groupby(plans, key=lambda row: any(one.fits for one in row[1])):
        rows = list(group)
        start = f"| {way} | {rows[0][1][0].storage} |"
        if fits:
            for ranks, runs in rows:
                times = " | ".join(_time(one.seconds) if one.fits else "–" for one in runs)
                fitting = [one for one in runs if one.fits]
                held = _gigabytes(max(one.on_gpu for one in fitting))
                product, most = _time(fitting[0].product.seconds), fitting[0].bottleneck
                yield f"{start} {ranks} | {held} | {product} | {times} | {most} |"
        else:
            ends = rows[:1] if len(rows) == 1 else [rows[0], rows[-1]]
            gpus = "–".join(str(ranks) for ranks, _ in ends)
            least = [min(runs, key=lambda one: one.on_gpu) for _, runs in ends]
            held = " to ".join(dict.fromkeys(_gigabytes(one.on_gpu) for one in least))
            blank = "– | " * (1 + len(rows[0][1]))
            yield f"{start} {gpus} | {held} | {blank}memory: {least[-1].most_held} |"


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.0f}" if count >= 9.95e9 else f"{count / 1e9:.1f}"


def _time(seconds: float) -> str:
    for unit, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1e3:.3g} ms"
