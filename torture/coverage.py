"""How often intervals of 95 % cover, over a thousand seeds: ``python -m torture.coverage``.

What each estimate says is held against the spectrum, which is known: with outliers, with heavy
tails, with atoms, in clusters.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.stats import norm
from tests.linalg.conftest import MatrixOperator, symmetric_matrix

from landscope.linalg import diagonal, frobenius_norm, spectral_density, trace

RESULTS = Path(__file__).parents[1] / "docs" / "reliability" / "coverage.json"
NUM_RUNS = 1000
chance = np.random.default_rng(0)
SPECTRA = {
    "outliers over a bulk": [*np.geomspace(10, 4, 4), *0.6 * chance.standard_normal(96)],
    "heavy tail": 1 / np.arange(1.0, 101.0),
    "semicircle": 2 * np.cos(np.pi * (np.arange(100) + 0.5) / 100),
    "clusters": np.concatenate([m + 1e-3 * chance.standard_normal(25) for m in (-1, 0, 1, 3)]),
    "atoms": np.repeat([-1.0, 0.0, 2.0], [20, 60, 20]),
    "three eigenvalues and zeros": np.repeat([5.0, 3.0, 2.0, 0.0], [1, 1, 1, 297]),
}


Hits = np.ndarray
"""Whether each interval of a run covers."""


def number(estimate: Callable, exact: Callable, A: MatrixOperator, seed: int) -> Hits:
    """An estimate of one number or of one for each entry."""
    found = estimate(A, num_probes=20, seed=seed)
    low, high = (np.asarray(end) for end in found.interval())
    true = np.asarray(exact(A.matrix))
    return np.atleast_1d((low <= true) & (true <= high))


def density(values: np.ndarray, deflate: str | int, A: MatrixOperator, seed: int) -> Hits:
    """The curve that is drawn, where it is a hundredth of its peak or more."""
    reach = np.ptp(values)
    limits = values.min() - 0.1 * reach, values.max() + 0.1 * reach
    found = spectral_density(
        A, 3, 15, seed, num_grid=9, width=0.15 * reach, limits=limits, deflate=deflate
    )
    low, high = (end.numpy() for end in found.interval())
    true = norm(values, 0.15 * reach).pdf(found.grid.numpy()[:, None]).mean(1)
    rounding = 1e-12 * true.max()
    shown = true > 1e-2 * true.max()
    return ((low - rounding <= true) & (true <= high + rounding))[shown]


def estimates(values: np.ndarray) -> dict[str, Callable[[MatrixOperator, int], Hits]]:
    """Everything that is estimated of a matrix with these eigenvalues."""
    traces = {
        f"trace, {method}": partial(number, partial(trace, method=method), torch.trace)
        for method in ("xtrace", "hutch++", "hutchinson")
    }
    return traces | {
        "Frobenius norm": partial(number, frobenius_norm, torch.linalg.norm),
        "diagonal": partial(number, diagonal, torch.diagonal),
        "smoothed density": partial(density, values, 0),
        "smoothed density, deflated": partial(density, values, "converged"),
    }


def measure(spectrum: str, num_runs: int) -> list[dict]:
    """Coverage of each estimate: the mean over its intervals, the least and the largest."""
    values = np.asarray(SPECTRA[spectrum], dtype=np.float64)
    A = MatrixOperator(symmetric_matrix(values))
    rows = []
    for name, run in estimates(values).items():
        share = np.mean([run(A, seed) for seed in range(num_runs)], axis=0)
        rows.append(
            {
                "spectrum": spectrum,
                "estimate": name,
                "intervals": len(share),
                "runs": num_runs,
                "mean": round(float(share.mean()), 4),
                "least": round(float(share.min()), 4),
                "largest": round(float(share.max()), 4),
            }
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=NUM_RUNS)
    parser.add_argument("--spectra", nargs="*", choices=SPECTRA, default=list(SPECTRA))
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found = json.loads(chosen.out.read_text(encoding="utf-8")) if chosen.out.exists() else []
    found = [row for row in found if row["spectrum"] not in chosen.spectra]  # others are kept
    for spectrum in chosen.spectra:
        start = time.monotonic()
        found += measure(spectrum, chosen.runs)
        print(f"{spectrum}: {time.monotonic() - start:.0f} s", flush=True)
        text = json.dumps(found, indent=1, ensure_ascii=False)
        chosen.out.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
