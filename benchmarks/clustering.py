"""Clustering at scale and the exact spectrum of G: time in backward passes, and peak memory.

One backward pass over the data is one `torch.autograd.grad` of the mean loss over all N examples
with its forward pass, in batches of 512. Each case runs in a sub-process of its own, so that its
peak resident memory is its own; a dense float64 `eigvalsh` of the same size stands beside
`gram_spectrum`.

    python -m benchmarks.clustering            # quick: about two minutes
    python -m benchmarks.clustering --full     # N = 10,000, spectra at N = 1,000: 15 minutes
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import landscope as ls
from landscope.zoo import make_network

RESULTS = Path(__file__).parent / "results" / "clustering.json"
NUM_CLASSES = 10
ROUNDS = 3


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(3072, 256), nn.Tanh(), nn.Linear(256, 256), nn.Tanh(),
        nn.Linear(256, NUM_CLASSES),
    )  # fmt: skip


NETWORKS = {
    "small_cnn": lambda: make_network("small_cnn", (3, 32, 32), NUM_CLASSES, seed=0),
    "resnet20": lambda: make_network(
        "resnet20", (3, 32, 32), NUM_CLASSES, seed=0, normalization="group"
    ),
    "mlp": mlp,
}


def data(num: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(num, 3, 32, 32, generator=generator), torch.arange(num) % NUM_CLASSES


def seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def peak_gigabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def backward_pass(network: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> None:
    parameters = list(network.parameters())
    for x, y in zip(inputs.split(512), targets.split(512), strict=True):
        torch.autograd.grad(cross_entropy(network(x), y), parameters)


def clustering(name: str, num: int) -> dict[str, float]:
    torch.manual_seed(0)
    network, (inputs, targets) = NETWORKS[name](), data(num)
    problem = ls.Problem(network, (inputs, targets))
    ls.logit_clustering(ls.Problem(network, (inputs[:20], targets[:20])))  # what torch loads late
    before = peak_gigabytes()
    rounds = [
        (
            seconds(lambda: backward_pass(network, inputs, targets)),
            seconds(lambda: ls.logit_clustering(problem)),
        )
        for _ in range(ROUNDS)
    ]
    unit, spent = (min(column) for column in zip(*rounds, strict=True))
    return {
        "seconds": spent,
        "backward_pass_seconds": unit,
        "backward_passes": spent / unit,
        "peak_gigabytes_before": before,
        "peak_gigabytes": peak_gigabytes(),
    }


def spectrum(name: str, num: int) -> dict[str, float]:
    torch.manual_seed(0)
    network, (inputs, targets) = NETWORKS[name](), data(num)
    ls.gram_spectrum(ls.Problem(network, (inputs[:4], targets[:4])))
    problem = ls.Problem(network, (inputs, targets))
    spent = seconds(lambda: ls.gram_spectrum(problem))
    peak = peak_gigabytes()
    row = {"seconds": spent, "peak_gigabytes": peak}
    for label, size in (("thin", num * (NUM_CLASSES - 1)), ("full", num * NUM_CLASSES)):
        matrix = torch.randn(size, size, dtype=torch.float64)
        matrix += matrix.T.clone()
        dense = seconds(lambda matrix=matrix: torch.linalg.eigvalsh(matrix))
        row |= {f"eigvalsh_{label}_seconds": dense, f"ratio_{label}": spent / dense}
    return row


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--case", nargs=3, metavar=("WORK", "NETWORK", "N"))
    options = parser.parse_args()
    if options.case:
        work, name, num = options.case
        print(json.dumps({"clustering": clustering, "spectrum": spectrum}[work](name, int(num))))
        return
    sizes = (1000, 10_000) if options.full else (500, 1000)
    cases = [("clustering", name, num) for name in ("small_cnn", "mlp") for num in sizes]
    cases += [("clustering", "resnet20", 1000 if options.full else 200)]
    num = 1000 if options.full else 100
    cases += [("spectrum", name, num) for name in ("small_cnn", "resnet20")]
    rows = []
    for work, name, num in cases:
        command = [sys.executable, __file__, "--case", work, name, str(num)]
        ran = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append({"work": work, "network": name, "N": num} | json.loads(ran.stdout))
        print({k: round(v, 3) if isinstance(v, float) else v for k, v in rows[-1].items()})
    setting = {
        "full": options.full,
        "num_classes": NUM_CLASSES,
        "rounds": ROUNDS,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.processor() or platform.machine(),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"setting": setting, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
