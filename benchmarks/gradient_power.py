"""How much of the gradient lies in the top 10 eigenvectors of H and of G, on Fashion-MNIST.

SmallCNN (ReLU), 600 SGD steps, three seeds, measured on N = 300 and N = 1500 training examples
at the start and the end. The share depends on learning rate, momentum, batch size and N, so all
of them are written down with it.

    python benchmarks/gradient_power.py            # needs LANDSCOPE_DATA, or a download
"""

import json
import platform
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

import landscope as ls
from landscope.zoo import load_dataset, make_network

LEARNING_RATE, MOMENTUM, BATCH_SIZE, STEPS, TOP = 0.05, 0.9, 64, 600, 10
RESULTS = Path(__file__).parent / "results" / "gradient_power.json"


def train(network: torch.nn.Module, inputs, targets, seed: int) -> None:
    optimizer = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(STEPS):
        batch = torch.randint(0, len(targets), (BATCH_SIZE,), generator=generator)
        optimizer.zero_grad()
        cross_entropy(network(inputs[batch]), targets[batch]).backward()
        optimizer.step()


def measure(network: torch.nn.Module, data) -> dict[str, float]:
    problem = ls.Problem(network, data)
    row = {"loss": float(problem.loss())}
    for operator in ("hessian", "gauss_newton"):
        overlap = ls.gradient_overlap(problem, TOP, operator)
        row[f"{operator}_power_top_10"] = float(overlap.power[-1])
    clustering = ls.logit_clustering(problem)
    row |= {q: getattr(clustering, q) for q in ("q_slsc", "q_sl", "q_dl", "q_dl_abs")}
    return row


def main() -> None:
    data = load_dataset("fashion_mnist")
    rows = []
    for seed in range(3):
        network = make_network("small_cnn", data.train_inputs.shape[1:], 10, seed=seed)
        chosen = torch.randperm(
            len(data.train_targets), generator=torch.Generator().manual_seed(seed)
        )
        for stage in ("start", "end"):
            for n in (300, 1500):
                measured = data.train_inputs[chosen[:n]], data.train_targets[chosen[:n]]
                rows.append({"seed": seed, "stage": stage, "N": n} | measure(network, measured))
                print({k: round(v, 3) if isinstance(v, float) else v for k, v in rows[-1].items()})
            if stage == "start":
                train(network, data.train_inputs, data.train_targets, seed)
    setting = {
        "data": "fashion_mnist",
        "network": "small_cnn, relu",
        "optimizer": "SGD",
        "learning_rate": LEARNING_RATE,
        "momentum": MOMENTUM,
        "batch_size": BATCH_SIZE,
        "steps": STEPS,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"setting": setting, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
