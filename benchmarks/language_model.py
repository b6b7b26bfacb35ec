"""GPT-2 with 124 million parameters and random weights, on one machine: what it takes.

`python -m benchmarks.language_model [--quick] [--device cuda] [--threads 2] [--out FILE]`: the time
of a gradient and of a Hessian–vector product, of the top five eigenpairs (a basis of 16 vectors)
and of a spectral density (30, on disk), and the peak of resident memory. Needs the extra
`transformers`.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

import landscope as ls
from benchmarks.memory import measured
from benchmarks.setting import setting

RESULTS = Path(__file__).parent / "results"
MEMORY_LIMIT = 4 * 2**30
"""Bytes for products beside the model and the data."""
EIGENPAIRS = {"k": 5, "tol": 1e-2, "basis_size": 16, "max_products": 80}
DENSITY = {"num_probes": 2, "num_steps": 30, "storage": "disk"}


def problem(quick: bool, device: str) -> ls.Problem:
    """The next tokens of a random sequence of 64; quick: of 32, in 2 layers."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(n_layer=2) if quick else GPT2Config()).eval()
    tokens = torch.randint(model.config.vocab_size, (1, 32 if quick else 64))
    batch = {"input_ids": tokens, "labels": tokens}
    return ls.Problem(model.to(device), [batch])


def measure(quick: bool, device: str) -> dict:
    """Each step with its seconds, one after the other in one process."""
    steps: list[dict[str, Any]] = []

    def timed(name: str, act: Any, **about: Any) -> Any:
        started = time.perf_counter()
        result = act()
        if device == "cuda":
            torch.cuda.synchronize()
        steps.append({"step": name, "seconds": time.perf_counter() - started} | about)
        print(steps[-1], file=sys.stderr, flush=True)
        return result

    p = timed("reading the data and checking the model", lambda: problem(quick, device))
    timed("gradient", p.gradient)
    H = ls.Hessian(p, memory_limit=MEMORY_LIMIT)
    v = torch.randn(p.num_params, device=device)
    timed("first product: graphs written, self-check", lambda: H @ v)
    timed("Hessian–vector product", lambda: H @ v)
    top = timed("top 5 eigenpairs", lambda: ls.eigsh(H, **EIGENPAIRS))
    steps[-1] |= {
        "products": top.num_products,
        "values": top.values.tolist(),
        "residuals": top.residuals.tolist(),
        "converged": top.converged,
    }
    print(steps[-1], file=sys.stderr, flush=True)  # in case the rest takes too long
    density = timed("density", lambda: ls.spectral_density(H, **DENSITY))
    steps[-1] |= {"products": density.num_products, "quartiles": _quartiles(density)}
    gpu_peak = torch.cuda.max_memory_allocated() if device == "cuda" else None
    sizes = {"parameters": p.num_params, "terms": p.num_examples, "logits": p.num_classes}
    return sizes | {"method": H.method.value, "steps": steps, "gpu_peak_bytes": gpu_peak}


def _quartiles(density: Any) -> list[float]:
    return [float(density.quantile(q)) for q in (0.25, 0.5, 0.75)]


def table(results: dict) -> str:
    """Markdown of what was measured."""
    of_model = results["returned"]
    lines = ["| step | seconds | products | |", "|---|---|---|---|"]
    for step in of_model["steps"]:
        said = ", ".join(f"{x:.4g}" for x in step.get("values", []))
        lines.append(
            f"| {step['step']} | {step['seconds']:.1f} | {step.get('products', '')} | {said} |"
        )
    peak = results["peak_bytes"] / 2**30
    lines.append(f"| all | {sum(s['seconds'] for s in of_model['steps']):.0f} | | {peak:.1f} GiB |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two layers, short sequences")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="default: results/language_model{,_quick}.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    about = setting(options.quick, options.device, {"torch": torch.__version__})
    results = {"setting": about} | measured(measure, options.quick, options.device, timeout=14400)
    if "error" in results:
        sys.exit(results["error"])
    suffix = ("_quick" if options.quick else "") + ("_gpu" if options.device == "cuda" else "")
    out = options.out or RESULTS / f"language_model{suffix}.json"
    out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
