"""Run the whole suite and write its JSON and its page of tables.

python -m benchmarks.run [--quick] [--device cuda] [--threads 2] [--out results.json]
"""

import argparse
import json
import time
from pathlib import Path

import torch

from benchmarks import density, eigen, layerwise, peers, products, render, wrong_answers
from benchmarks.setting import setting

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
PARTS = {
    "wrong_answers": lambda quick, device: wrong_answers.compare(),
    "products": products.compare,
    "eigen": lambda quick, device: eigen.compare(quick),
    "density": lambda quick, device: density.compare(quick),
    "layerwise": lambda quick, device: layerwise.compare(quick),
}
ON_GPU = ("products",)


def on_gpu(file: Path) -> str:
    """What was measured on a GPU, from its own JSON, or why nothing was."""
    if not file.exists():
        return (
            "Not measured: no GPU was present. `python -m benchmarks.run --device cuda` measures "
            "the four networks, ResNet-50 and a GPT-2-sized network there."
        )
    found = json.loads(file.read_text())
    rows = "\n".join(render.product_table(found["products"]))
    return f"{render.machine(found['setting'])}\n\n{rows}"


def page(results: dict) -> str:
    """The page, with what others of the benchmarks have measured."""
    threads = HERE / "results" / "threads.json"
    found = {"threads": json.loads(threads.read_text())} if threads.exists() else {}
    return render.page(results | found | {"gpu": on_gpu(HERE / "results" / "gpu.json")})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, under five minutes")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, help="default: results/{quick,full,gpu}.json")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("No GPU is present: nothing was measured.")
        return
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.allow_tf32 = False  # errors are those of float32
    kind = "gpu" if options.device == "cuda" else "quick" if options.quick else "full"
    out = options.out or HERE / "results" / f"{kind}.json"
    results = json.loads(out.read_text()) if out.exists() and options.parts != list(PARTS) else {}
    results["setting"] = setting(options.quick, options.device, peers.versions())
    for name in options.parts:
        if options.device == "cuda" and name not in ON_GPU:
            continue
        started = time.perf_counter()
        results[name] = PARTS[name](options.quick, options.device)
        results["setting"].setdefault("seconds", {})[name] = time.perf_counter() - started
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    if options.device == "cpu":
        written = PAGE if options.out is None else options.out.with_suffix(".md")
        written.write_text(page(results))


if __name__ == "__main__":
    main()
