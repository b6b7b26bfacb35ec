"""docs/benchmarks.md from the measurements, so that no figure in it is written by hand."""

from collections.abc import Iterator

from benchmarks.eigen import ARPACK, TOLERANCE
from benchmarks.peers import CURVLINOPS, EIGENTHINGS, LANDSCOPE, PEERS, PYHESSIAN

TO_REACH = {
    ("Hessian", "SmallCNN"): (0.8, {CURVLINOPS: 3.0, EIGENTHINGS: 2.5, PYHESSIAN: 1.8}),
    ("Hessian", "MLP"): (1.0, {CURVLINOPS: 2.5}),
    ("Hessian", "GPT"): (1.75, {CURVLINOPS: 2.0, EIGENTHINGS: 1.7}),
    ("Hessian", "ResNet-20"): (1.3, {CURVLINOPS: 2.0, EIGENTHINGS: 2.0, PYHESSIAN: 2.0}),
    ("Gauss-Newton", "SmallCNN"): (0.6, {CURVLINOPS: 2.0}),
    ("Gauss-Newton", "MLP"): (0.9, {CURVLINOPS: 2.0}),
    ("Gauss-Newton", "GPT"): (1.3, {CURVLINOPS: 2.0}),
    ("Gauss-Newton", "ResNet-20"): (None, {CURVLINOPS: 2.0}),
    ("Hessian", "ResNet-50"): (2.0, {}),
    ("Hessian", "GPT-2 size"): (2.0, {}),
}
"""Gradients at most, and times as fast as a peer at least."""

LIMITS = {
    ("Hessian", "SmallCNN"): "By matrix products alone 1.86 gradients, with the primal pass done "
    "once. It runs below that because a gradient spends much of its time outside matrix products, "
    "in pooling and in laying out images for convolutions, which a product reuses.",
    ("Hessian", "MLP"): "By matrix products alone 1.11 gradients: the first layer, most of the "
    "weights, needs two of six. Reading and writing vectors of 855,050 entries is the rest.",
    ("Hessian", "GPT"): "Twice the matrix products of a gradient, of which they are 72 % (95 of "
    "133 ms) and of the product 82 %; attention on the MATH backend and what is elementwise "
    "(LayerNorm, GELU, softmax) are the rest. The gradient in the unit runs on the fused attention "
    "kernel, which has no second derivative.",
    ("Hessian", "ResNet-20"): "Twice the convolutions of a gradient, which are 80 % of the product "
    "(at 150 of at best 200 GFLOP/s); GroupNorm's second derivative, a dozen elementwise passes "
    "over the activations, is most of the rest.",
    ("Gauss-Newton", "SmallCNN"): "By matrix products alone 1.29 gradients.",
    ("Gauss-Newton", "MLP"): "By matrix products alone 1.04 gradients.",
    ("Gauss-Newton", "GPT"): "By matrix products alone 1.33 gradients.",
    ("Gauss-Newton", "ResNet-20"): "By matrix products alone close to 1.33 gradients.",
    ("Hessian", "ResNet-50"): "By matrix products alone close to 2.0 gradients.",
    ("Hessian", "GPT-2 size"): "By matrix products alone 2.0 gradients.",
    "eigen": "Passes over the data times their cost. Four to seven of the products look for copies "
    "of multiple eigenvalues that a Krylov space from one vector misses; ARPACK does not look. "
    "Batches of 128 let the activations of peers, too, stay in the cache.",
    "density": "Products, each at its cost above. Peers need probes to average out what one probe "
    "says of the outliers; here converged outliers count exactly.",
    "spectrum": "SmallCNN: the dense eigenvalue problem itself. ResNet-20: n²D operations of the "
    "Gram matrix in the problem's dtype (added up in float64), alone 5 to 6 times one `eigvalsh`.",
    "clustering": "One backward pass per logit, without the forward pass, is the floor of C passes "
    "for the norms by general routes; layer-wise norms need inner products of activations too.",
}
"""What bounds each row."""


def page(results: dict) -> str:
    return "\n".join(_lines(results)) + "\n"


def _lines(results: dict) -> Iterator[str]:
    setting = results["setting"]
    command = "bench-quick" if setting["quick"] else "bench"
    yield "# Benchmarks\n"
    yield f"`make {command}`, {setting['date']}. {machine(setting)}\n"
    if setting["quick"]:
        yield "Quick sizes: smaller batches and data than in `make bench`, whose table counts.\n"
    yield (
        "All competitors take turns within each round, their order rotated; medians of five "
        "rounds (clustering: the fastest of three; spectra of G: one run). A fixed matrix product "
        "is timed around each round; rounds in which it took more than 1.3 times its median are "
        "discarded. A *gradient*, the unit of cost, is one eager `torch.autograd.grad` of the mean "
        "loss with its forward pass on the same batch. "
        "Ratios are times of a peer over times of Landscope: above 1, Landscope is faster. Errors "
        "are relative to float64 by reverse mode twice.\n"
    )
    if "products" in results:
        yield from _products(results["products"])
    if "eigen" in results:
        yield "## Ten largest eigenvalues to a relative residual of 1e-3\n"
        for found in results["eigen"]:
            yield from _eigen(found)
    if "density" in results:
        yield from _density(results["density"])
    if "layerwise" in results:
        yield from _layerwise(results["layerwise"])
    if "wrong_answers" in results:
        yield from _wrong_answers(results["wrong_answers"])
    if "threads" in results:
        yield from _threads(results["threads"])
    yield "## On a GPU\n"
    yield results["gpu"] + "\n"
    yield "## Elsewhere\n"
    yield (
        "Products of eigenvalue methods on synthetic spectra with clusters: "
        "`python benchmarks/eigenpairs.py`.\n"
    )


def machine(setting: dict) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in setting["versions"].items())
    where = f"{setting['machine']}, {setting['cores']} cores, {setting['threads']} threads"
    gpu = f", {setting['gpu']}" if setting["gpu"] else ""
    return f"{where}{gpu}, Python {setting['python']}; {versions}."


def _products(rows: list[dict]) -> Iterator[str]:
    yield "## Products with one vector\n"
    yield from product_table(rows)
    yield "\nWhat limits each:\n"
    for row in rows:
        key = row["operator"], row["network"]
        if key in LIMITS:
            yield f"- **{key[0]}, {key[1]}.** {LIMITS[key]}"
    yield "\n### Preparation, blocks, memory, error\n"
    yield (
        "Preparation is construction and the first product. A block is D × 8, per vector. Peak "
        "memory is the resident size of a process that does nothing else, libraries included.\n"
    )
    yield (
        "| product | network | competitor | gradients | preparation, s | block, gradients per "
        "vector | kept, MB | peak, MB | relative error |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        yield (
            f"| one gradient | {row['network']} | torch | 1 "
            f"({row['gradient_seconds']['median']:.3g} s) | | | "
            f"| {_megabytes(row.get('gradient_peak_bytes'))} | |"
        )
        for name, entry in row["competitors"].items():
            start = f"| {row['operator']} | {row['network']} | {name} |"
            if "error" in entry:
                yield f"{start} {_cell(entry['error'])} | | | | | |"
                continue
            yield (
                f"{start} {entry['gradients']:.2f} | {entry['prepare_and_first_s']:.2g} "
                f"| {_number(entry.get('block_gradients_per_vector'))} "
                f"| {_megabytes(entry.get('kept_bytes'))} | {_megabytes(entry.get('peak_bytes'))} "
                f"| {entry['relative_error']:.0e} |"
            )
    yield ""


def product_table(rows: list[dict]) -> Iterator[str]:
    """Reached beside what was to be reached."""
    yield (
        f"| product | network | gradients: to reach | reached | {' | '.join(PEERS)} "
        "| ratios to reach | met |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        yield _product_row(row)


def _product_row(row: dict) -> str:
    wanted, ratios = TO_REACH.get((row["operator"], row["network"]), (None, {}))
    ours = row["competitors"][LANDSCOPE]
    start = f"| {row['operator']} | {row['network']} |"
    if "error" in ours:
        return f"{start} {wanted or ''} | {_cell(ours['error'])} | | | | | no |"
    reached, found = ours["gradients"], {}
    for peer in PEERS:
        entry = row["competitors"].get(peer)
        if entry and "seconds" in entry:
            found[peer] = entry["gradients"] / reached
    cells = []
    for peer in PEERS:
        entry = row["competitors"].get(peer)
        cells.append("–" if entry is None else f"{found[peer]:.1f}×" if peer in found else "fails")
    missed = [peer for peer, least in ratios.items() if found.get(peer, least) < least]
    missed += ["gradients"] if wanted and reached > wanted else []
    asked = ", ".join(f"{least:g}× {peer}" for peer, least in ratios.items())
    verdict = f"no: {', '.join(missed)}" if missed else "yes"
    limit = f"≤ {wanted:g}" if wanted else "–"
    return f"{start} {limit} | {reached:.2f} | {' | '.join(cells)} | {asked} | {verdict} |"


def _eigen(found: dict) -> Iterator[str]:
    yield (
        f"{found['network']}, {found['parameters']:,} parameters, {found['examples']} examples in "
        f"{found['batches']} batches. The time holds the preparation; the residual is "
        "‖Hv − λv‖/|λ|max with H in float64 by reverse mode twice. ARPACK and hessian-eigenthings "
        f"are given the cheapest setting that suffices, found beforehand (ARPACK: tol and ncv "
        f"{found['arpack_setting']}; Lanczos: {found['lanczos_steps']} steps).\n"
    )
    yield "| method | seconds | products | residual | time over Landscope's |"
    yield "|---|---|---|---|---|"
    entries = found["competitors"]
    ours = entries[LANDSCOPE]["seconds"]["median"]
    for name, entry in entries.items():
        took = entry["seconds"]["median"]
        yield (
            f"| {name} | {took:.2f} | {entry['products']} | {entry['relative_residual']:.0e} "
            f"| {took / ours:.2f} |"
        )
    peers = {
        name: entry["seconds"]["median"]
        for name, entry in entries.items()
        if LANDSCOPE not in name and entry["relative_residual"] <= 1.01 * TOLERANCE
    }
    literal = min(
        (t["products"] for t in found["arpack_tried"] if tuple(t["setting"]) == (TOLERANCE, None)),
        default=None,
    )
    if peers:
        best = min(peers, key=peers.get)
        yield f"\nTo reach: 3× the best peer. Reached: {peers[best] / ours:.1f}× {best}."
    yield (
        f"Products: {entries[LANDSCOPE]['products']}; {ARPACK} with tol = 1e-3 and its own ncv "
        f"takes {literal}. {LIMITS['eigen']}\n"
    )


def _density(found: dict) -> Iterator[str]:
    yield "## Spectral density at the same Wasserstein-1 distance from the exact spectrum\n"
    yield (
        f"{found['network']}, {found['parameters']:,} parameters, {found['examples']} examples; "
        "distances in units of the mean |λ|. For each, the fewest products whose mean distance "
        "over seeds is within the target.\n"
    )
    yield (
        "| target | method | probes × steps | distance | products | seconds "
        "| time over Landscope's |"
    )
    yield "|---|---|---|---|---|---|---|"
    for row in found["targets"]:
        ours = row["competitors"][LANDSCOPE]["seconds"]["median"]
        for name, entry in row["competitors"].items():
            took = entry["seconds"]["median"]
            missed = "" if entry["reached"] else " (target not reached)"
            yield (
                f"| {row['target']:g} | {name} | {entry['probes']} × {entry['steps']} "
                f"| {entry['distance']:.3f}{missed} | {entry['products']} | {took:.3f} "
                f"| {took / ours:.1f} |"
            )
    yield (
        f"\nTo reach: 3× the best peer. {LIMITS['density']} PyHessian's `density()`: "
        f"{found['pyhessian']}.\n"
    )


def _threads(found: dict) -> Iterator[str]:
    cores = found["setting"]["cores"]
    yield "## Beside busy programs\n"
    yield (
        f"One Hessian product of SmallCNN, {found['batch']} examples, on {cores} cores: alone, and "
        f"beside {found['busy_programs']} programs that multiply matrices by torch on all threads. "
        f"Median of {found['rounds']} rounds in which all settings take turns, and its ratio to "
        "one thread in the same round; `python -m benchmarks.threads`.\n"
    )
    yield "| around it | threads | seconds | CPU seconds | times one thread | at most |"
    yield "|---|---|---|---|---|---|"
    around = {"alone": "nothing", "beside": "busy programs"}
    for row in found["rows"]:
        times = f"{row['times_one_thread']:.2f} | {row['most_times_one_thread']:.2f}"
        seconds = f"{row['seconds']:.3f} | {row['cpu_seconds']:.3f}"
        yield f"| {around[row['around']]} | {row['threads']} | {seconds} | {times} |"
    yield ""


def _layerwise(rows: list[dict]) -> Iterator[str]:
    yield "## Logit clustering, and all nonzero eigenvalues of G\n"
    yield "| work | network | N | to reach | reached | seconds | peak, GB |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        start = f"| {row['work']} | {row['network']} | {row['N']} |"
        if row["error"]:
            yield f"{start} | {_cell(row['error'])} | | |"
        elif row["work"] == "clustering":
            yield (
                f"{start} ≤ 20 backward passes | {row['backward_passes']:.1f} backward passes "
                f"| {row['seconds']:.2f} | {row['peak_gigabytes']:.2f} |"
            )
        else:
            yield (
                f"{start} ≤ 3 × `eigvalsh`, ≤ 4 GB | {row['ratio_thin']:.2f} × `eigvalsh` of "
                f"N(C − 1), {row['ratio_full']:.2f} × of NC | {row['seconds']:.2f} "
                f"| {row['peak_gigabytes']:.2f} |"
            )
    yield f"\nClustering: {LIMITS['clustering']} Spectrum: {LIMITS['spectrum']}\n"


def _wrong_answers(rows: list[dict]) -> Iterator[str]:
    yield "## Wrong answers\n"
    yield (
        "Relative error of one Hessian–vector product, in float64 unless said otherwise, against "
        "reverse mode twice with means over loss terms.\n"
    )
    names = (LANDSCOPE, *PEERS)
    yield f"| case | {' | '.join(names)} |"
    yield "|---|" + "---|" * len(names)
    for row in rows:
        cells = (_verdict(row["relative_error"][name], row["dtype"]) for name in names)
        yield f"| {row['case']} | {' | '.join(cells)} |"
    yield ""


def _verdict(error: float | str, dtype: str) -> str:
    if isinstance(error, str):
        return _cell(f"no answer: {error}")
    wrong = error > (1e-2 if "bfloat16" in dtype else 1e-8)
    return f"**{error:.0e}, wrong**" if wrong else f"{error:.0e}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _megabytes(count: int | None) -> str:
    return "" if count is None else f"{count / 2**20:.0f}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:160]
