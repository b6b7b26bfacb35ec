"""The random model fitted to networks: predictions beside the measured spectrum of G.

`python -m benchmarks.random_model_fit` measures SmallCNN on 300 images at initialisation and after
training, adds to `results/random_model_fit.json` what is not there yet, and prints the tables.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import landscope as ls
from benchmarks.networks import _train as train
from landscope.geometry.tangent_kernel import kernel_matrix
from landscope.random_model.anisotropic import AnisotropicTheory
from landscope.random_model.clusters import MEANS, WEIGHTS, Clusters
from landscope.random_model.fit import RESIDUALS, fit_measured
from landscope.random_model.measured import MeasuredLandscape
from landscope.random_model.surrogates import surrogate
from landscope.zoo import load_dataset, make_network

RESULTS = Path(__file__).parent / "results" / "random_model_fit.json"
STEPS = {"fashion_mnist": 600, "mnist": 300, "cifar10_subset": 600}
NUM_EXAMPLES, NUM_TRAINED_ON = 300, 10_000
SURROGATES = (("shuffled", "uniform"), ("signs", "curvature"))


def points(name: str, seed: int) -> Iterator[tuple[str, float, ls.Problem]]:
    """A network at initialisation and after training, with its accuracy on 2,000 test images."""
    data = load_dataset(name, max_examples=NUM_TRAINED_ON, download=False)
    model = make_network("small_cnn", data.input_shape, seed=seed)
    examples = data.train_inputs[:NUM_EXAMPLES], data.train_targets[:NUM_EXAMPLES]
    inputs, targets = (part[:2000] for part in data.test)
    for stage, steps in (("initial", 0), ("trained", STEPS[name])):
        train(model, *data.train, steps)
        with torch.no_grad():
            accuracy = float((model(inputs).argmax(1) == targets).double().mean())
        yield stage, accuracy, ls.Problem(model, examples)


def compare(problem: ls.Problem, surrogates: bool) -> dict[str, Any]:
    """Every fit, and every surrogate where asked, beside the measurement."""
    gram, logits = kernel_matrix(problem).numpy(), problem.logits().double().numpy()
    labels, D = problem.targets().numpy(), problem.num_params
    measured = MeasuredLandscape(gram, logits, labels, D)
    rows = [{"what": "measured", **of_landscape(measured)}]
    for means in MEANS:
        for weights in WEIGHTS:
            for residuals in RESIDUALS:
                fit = fit_measured(gram, logits, labels, D, means, residuals, weights)
                rows.append(
                    {
                        "what": "theory",
                        "means": means,
                        "residuals": residuals,
                        "weights": weights,
                        "sigmas": [fit.model.sigma_c, fit.model.sigma_e, fit.model.sigma_z],
                        **of_theory(fit.theory()),
                    }
                )
        for kind, weights in SURROGATES if surrogates else ():
            redrawn = surrogate(Clusters(measured, means, weights), kind)
            rows.append({"what": kind, "means": means, "weights": weights, **of_landscape(redrawn)})
    return {"num_params": D, "rows": rows}


def of_landscape(landscape: MeasuredLandscape) -> dict[str, Any]:
    first = landscape.num_classes - 1
    values = landscape.eigenvalues()
    return {
        "outliers": values[:first].tolist(),
        "next": values[first : first + 40].tolist(),
        "power": float(landscape.gradient_power(first)[-1]),
        "gradient_norm": landscape.gradient_norm(),
        "trace": landscape.trace(),
        "frobenius_norm": landscape.frobenius_norm(),
    }


def of_theory(theory: Any) -> dict[str, Any]:
    first = theory.probabilities.shape[1] - 1
    anisotropic = isinstance(theory, AnisotropicTheory)
    return {
        "eigenvalues": theory.eigenvalues(first + 3).tolist() if anisotropic else [],
        "outliers": theory.outliers[:first].tolist(),
        "num_outliers": len(theory.outliers),
        "edge": theory.edge,
        "power": float(theory.gradient_power[:first].sum()),
        "gradient_norm": theory.gradient_norm,
        "trace": theory.trace,
        "frobenius_norm": theory.frobenius_norm,
    }


def show(point: dict[str, Any]) -> None:
    measured = point["rows"][0]
    print(
        f"\n{point['name']} {point['stage']}, seed {point['seed']}, {point['accuracy']:.1%} right"
    )
    for row in point["rows"]:
        of = " ".join(str(row.get(key, "")) for key in ("what", "means", "residuals", "weights"))
        predicted = row.get("eigenvalues") or row["outliers"]
        ratios = np.array(predicted)[:9] / measured["outliers"][: len(predicted)]
        print(
            f"{of:44} {ratios.min() if len(ratios) else np.nan:6.3f} to "
            f"{ratios.max() if len(ratios) else np.nan:6.3f} of {len(ratios)}, "
            f"edge {row.get('edge', row.get('next', [np.nan])[0]):8.4f}, "
            f"power {row['power']:.3f}, ‖g‖ {row['gradient_norm']:.4f}, "
            f"Tr {row['trace']:.4g}, ‖G‖_F {row['frobenius_norm']:.4g}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=list(STEPS), choices=STEPS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    found = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
    known = {(point["name"], point["seed"]) for point in found}
    for seed in arguments.seeds:
        for name in arguments.data:
            if (name, seed) in known:
                continue
            for stage, accuracy, problem in points(name, seed):
                place = {"name": name, "seed": seed, "stage": stage, "accuracy": accuracy}
                found.append(place | compare(problem, surrogates=seed == 0))
                arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    for point in found:
        show(point)


if __name__ == "__main__":
    main()
