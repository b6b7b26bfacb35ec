"""Random-matrix theory beside draws of the random model, and the seconds both take.

`python -m benchmarks.random_model` prints the tables and writes `results/random_model.json`.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import landscope as ls
from landscope.random_model import Landscape, Theory

RESULTS = Path(__file__).parent / "results" / "random_model.json"
PLACES = [  # N, C, D, σ_c, σ_E, σ_z
    (300, 10, 1000, 1.0, 0.7, 1.0),
    (300, 10, 1000, 1.0, 0.7, 15.0),
    (300, 10, 1000, 1.0, 3.0, 5.0),
    (300, 10, 1000, 1.0, 8.0, 5.0),
    (300, 10, 4000, 1.0, 8.0, 5.0),
    (100, 5, 2000, 1.0, 2.0, 1.0),
]
NO_MEANS = (300, 10, 1000, 0.0, 0.7, 1.0)
DOUBLED = [(150, 10, 500), (300, 10, 1000), (600, 10, 2000)]
FAR = 2.0
"""Outliers beyond this many edges are far from the bulk."""


def model_at(N: int, C: int, D: int, sigma_c: float, sigma_e: float, sigma_z: float):
    return ls.RandomModel(C, N, D, sigma_c, sigma_e, sigma_z)


def drawn(model: ls.RandomModel, num_seeds: int) -> list[tuple[Landscape, Theory]]:
    return [((land := model.sample(seed)), land.theory()) for seed in range(num_seeds)]


def outlier_errors(draws: list[tuple[Landscape, Theory]]) -> dict[str, float]:
    """Relative errors of mean outliers, of all draws that have the j-th, far and near the edge."""
    worst = {"far": 0.0, "near": 0.0}
    most = max(len(theory.outliers) for _, theory in draws)
    for j in range(most):
        having = [(land, theory) for land, theory in draws if len(theory.outliers) > j]
        if len(having) < len(draws):
            continue
        predicted = np.mean([theory.outliers[j] for _, theory in having])
        measured = np.mean([land.eigenvalues()[j] for land, _ in having])
        edge = np.mean([theory.edge for _, theory in having])
        where = "far" if predicted > FAR * edge else "near"
        worst[where] = max(worst[where], abs(predicted / measured - 1))
    return worst


def next_to_edge(draws: list[tuple[Landscape, Theory]]) -> float:
    """Mean over draws of the first eigenvalue that is no outlier, in units of the edge."""
    return float(np.mean([lan.eigenvalues()[len(th.outliers)] / th.edge for lan, th in draws]))


def bulk_distance(draws: list[tuple[Landscape, Theory]]) -> float:
    """Wasserstein-1 distance of mean bulk distributions, ∫|F − F̂|dx, relative to the edge."""
    edge = np.mean([theory.edge for _, theory in draws])
    x = edge * np.concatenate([np.geomspace(1e-9, 1e-3, 120), np.linspace(1e-3, 1.1, 500)[1:]])
    above_theory, above_draws = np.zeros(len(x)), np.zeros(len(x))
    for land, theory in draws:
        density = theory.density(x)
        pieces = np.diff(x) * (density[1:] + density[:-1]) / 2
        above_theory[:-1] += np.cumsum(pieces[::-1])[::-1] / len(draws)
        D = float(theory.num_params)
        bulk = np.sort(land.eigenvalues()[len(theory.outliers) :])
        above_draws += (len(bulk) - np.searchsorted(bulk, x)) / D / len(draws)
    return float(np.trapezoid(np.abs(above_theory - above_draws), x) / edge)


def power_errors(draws: list[tuple[Landscape, Theory]]) -> tuple[float, float, float]:
    """Mean gradient power in all outliers: predicted, measured; and the largest single error."""
    pairs = np.array(
        [
            (theory.gradient_power.sum(), land.gradient_power(len(theory.outliers))[-1])
            for land, theory in draws
            if len(theory.outliers)
        ]
    )
    if len(pairs) == 0:
        return 0.0, 0.0, 0.0
    predicted, measured = pairs.mean(0)
    return float(predicted), float(measured), float(np.abs(pairs[:, 0] - pairs[:, 1]).max())


def at_place(place: tuple, num_seeds: int) -> dict:
    draws = drawn(model_at(*place), num_seeds)
    errors = outlier_errors(draws)
    predicted, measured, worst = power_errors(draws)
    norms = [(theory.frobenius_norm, land.frobenius_norm()) for land, theory in draws]
    row = {
        "place": place,
        "num_outliers": sorted({len(theory.outliers) for _, theory in draws}),
        "outliers_far": errors["far"],
        "outliers_near": errors["near"],
        "next_over_edge": next_to_edge(draws),
        "bulk_wasserstein": bulk_distance(draws),
        "power_predicted": predicted,
        "power_measured": measured,
        "power_worst_draw": worst,
        "frobenius_error": float(np.mean([a / b for a, b in norms]) - 1),
    }
    print(
        f"N={place[0]} C={place[1]} D={place[2]} σ_c={place[3]:g} σ_E={place[4]:g} "
        f"σ_z={place[5]:g}: outliers {row['num_outliers']}, off by "
        f"{100 * errors['far']:.2f} % (far) and {100 * errors['near']:.2f} % (near); "
        f"λ_(n+1)/edge {row['next_over_edge']:.3f}; bulk W1 "
        f"{100 * row['bulk_wasserstein']:.2f} % of the edge; gradient power {predicted:.3f} "
        f"against {measured:.3f} (worst draw {worst:.3f}); "
        f"‖H‖_F {100 * row['frobenius_error']:+.2f} %",
        flush=True,
    )
    return row


def without_centroids(num_seeds: int) -> dict:
    draws = drawn(model_at(*NO_MEANS), num_seeds)
    predicted = float(np.mean([theory.bulk.largest_eigenvalue for _, theory in draws]))
    measured = float(np.mean([land.eigenvalues()[0] for land, _ in draws]))
    edge = float(np.mean([theory.edge for _, theory in draws]))
    row = {"predicted": predicted, "measured": measured, "edge": edge}
    print(f"σ_c=0: λ₁ {measured:.6g}, edge − 1.2065 s = {predicted:.6g}, edge {edge:.6g}")
    return row


def doubling(num_seeds: int) -> list[dict]:
    rows = []
    for N, C, D in DOUBLED:
        ratio = next_to_edge(drawn(model_at(N, C, D, 1.0, 0.7, 1.0), num_seeds))
        rows.append({"N": N, "D": D, "next_over_edge": ratio})
        print(f"N={N} D={D}: λ_(n+1)/edge {ratio:.4f}", flush=True)
    return rows


def class_conditional(num_seeds: int) -> dict:
    """Errors of the two groups of outliers with full class-conditional centroids."""
    model = ls.RandomModel(10, 300, 4000, 1.0, 0.3, 1.0, sigma_class=0.5)
    draws = drawn(model, num_seeds)
    fewest = min(len(theory.outliers) for _, theory in draws)
    predicted = np.mean([theory.outliers[:fewest] for _, theory in draws], axis=0)
    measured = np.mean([land.eigenvalues()[:fewest] for land, _ in draws], axis=0)
    errors = np.abs(predicted / measured - 1)
    row = {
        "num_outliers": fewest,
        "top": float(errors[:9].max()),
        "next_ten": float(errors[9:19].max()),
        "all": float(errors.max()),
    }
    print(
        f"class-conditional: {fewest} outliers, top 9 off by {100 * row['top']:.2f} %, "
        f"next ten {100 * row['next_ten']:.2f} %, all {100 * row['all']:.2f} %"
    )
    return row


def seconds(task: Callable[[], object]) -> float:
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def timings() -> dict:
    def sampled() -> Landscape:
        land = ls.RandomModel(num_params=10**12).sample()
        land.eigenvalues()
        return land

    def predicted() -> None:
        theory = land.theory()
        _ = theory.outliers, theory.gradient_power, theory.edge, theory.frobenius_norm

    land = sampled()
    row = {
        "sample_and_spectrum_s": min(seconds(sampled) for _ in range(3)),
        "theory_s": min(seconds(predicted) for _ in range(3)),
        "density_400_s": seconds(
            lambda: land.theory().density(np.linspace(0, land.theory().edge, 400))
        ),
    }
    print("D=1e12, N=300, C=10: " + ", ".join(f"{k} {v:.2f}" for k, v in row.items()))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    num_seeds = parser.parse_args().seeds
    results = {
        "num_seeds": num_seeds,
        "timings": timings(),
        "places": [at_place(place, num_seeds) for place in PLACES],
        "without_centroids": without_centroids(num_seeds),
        "doubling": doubling(num_seeds),
        "class_conditional": class_conditional(num_seeds),
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
