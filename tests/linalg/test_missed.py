import itertools

import numpy as np
import pytest
import torch

from landscope.linalg import eigsh
from landscope.linalg.ends import Margins
from landscope.linalg.krylov import KrylovSubspace
from landscope.linalg.missed import RARE_SHARE, Probe
from landscope.linalg.product import CountedProduct

from .conftest import DiagonalOperator
from .test_krylov import start

INFINITE = float("inf")
NONE = torch.zeros(0, dtype=torch.float64)


def ritz(krylov):
    values, rotation = torch.linalg.eigh(krylov.projected)
    return values, rotation, krylov.coupling @ rotation


def test_share_is_the_christoffel_function_of_one_chain(operator_with):
    """1/Σ p_j(λ)², with the orthonormal polynomials of the chain's quadrature."""
    krylov = KrylovSubspace(CountedProduct(operator_with(np.linspace(-1, 1, 60))), capacity=10)
    krylov.add(start(60))
    for _ in range(6):
        krylov.expand()
    point = 1.3
    polynomials = [0.0, 1.0]
    H = krylov.H
    for j in range(6):
        below = H[j - 1, j] * polynomials[-2] if j else 0.0
        polynomials.append(((point - H[j, j]) * polynomials[-1] - below) / H[j + 1, j])
    weights = torch.zeros(1, krylov.basis.size, dtype=torch.float64)
    weights[0, 0] = 1
    share, _ = Probe(Margins(-INFINITE, point), NONE, weights).share(*ritz(krylov))
    assert share == pytest.approx(1 / sum(float(p) ** 2 for p in polynomials), rel=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_no_eigenvector_holds_more_than_the_bound(operator_with, seed):
    """Copies of an eigenvalue at the margin, through expansions, turns of W and a restart."""
    eigenvalues = np.concatenate([[2.0, 2.0, 2.5], np.linspace(-1, 1, 97)])
    operator = operator_with(eigenvalues, seed)
    krylov = KrylovSubspace(CountedProduct(operator), capacity=60)
    krylov.add(start(100, seed=seed))
    for _ in range(30):
        krylov.expand()
    krylov.add(start(100, seed=seed + 50))
    w = krylov.basis.block(krylov.basis.size - 1, krylov.basis.size).clone()
    weights = torch.zeros(1, krylov.basis.size, dtype=torch.float64)
    weights[0, -1] = 1
    probe = Probe(Margins(-INFINITE, 2.0 - 1e-9), NONE, weights)
    shares = []
    for step in range(16):
        values, rotation, coupling = ritz(krylov)
        rest = values < 1.9
        if step < 8:  # not yet found: the copy that is orthogonal to the converged Ritz vectors
            basis = krylov.basis.block(0, krylov.size)
            found = basis @ rotation[:, ~rest]
            eigenvectors = torch.linalg.eigh(operator.matrix).eigenvectors[:, -3:]
            missed = torch.linalg.svd(eigenvectors.T @ found).U[:, found.shape[1] :]
            actual = ((w.T @ eigenvectors @ missed) ** 2).sum().item()
        share, direction = probe.share(values[rest], rotation[:, rest], coupling[:, rest])
        if (~rest).sum() == 2:
            assert actual <= share * (1 + 1e-6)
            shares.append(share)
        probe.turn(krylov.turn(direction[:, None]))
        if step == 5:
            kept, dropped = rotation[:, 20:], rotation[:, :20]
            probe.restart(kept, values[:20], dropped, krylov.coupling @ dropped)
            krylov.restart(kept)
        krylov.expand(1)
        probe.grow(krylov.basis.size)
    assert len(shares) >= 3


def test_share_falls_where_nothing_is_missed(operator_with):
    krylov = KrylovSubspace(CountedProduct(operator_with(np.linspace(0, 1, 80))), capacity=40)
    krylov.add(start(80))
    weights = torch.zeros(2, 1, dtype=torch.float64)
    weights[:, 0] = 1
    probe, shares = Probe(Margins(-0.5, 1.5), NONE, weights), []
    for _ in range(12):
        krylov.expand()
        probe.grow(krylov.basis.size)
        shares.append(probe.share(*ritz(krylov))[0])
    assert all(after < before for before, after in itertools.pairwise(shares))
    assert shares[-1] * 80 < RARE_SHARE


@pytest.mark.parametrize(
    ("num_runs", "least"), [(30, 29), pytest.param(200, 197, marks=pytest.mark.slow)]
)
@pytest.mark.usefixtures("unchecked")
def test_copies_are_missed_in_at_most_one_run_of_a_hundred(num_runs, least):
    """A double at the margin, the hardest place; the bound is for the worst of all spectra."""
    bulk = np.random.default_rng(0).uniform(0, 1, 1990)
    operator = DiagonalOperator(np.concatenate([[4.0, 3.0, 2.0, 2.0], bulk]))
    doubles = sum(
        eigsh(operator, 4, tol=1e-3, seed=seed).values[3].item() > 1.9 for seed in range(num_runs)
    )
    assert doubles >= least


def test_margins_move_outward_alone():
    known = torch.tensor([-2.0, 0.0, 1.0, 3.0], dtype=torch.float64)
    probe = Probe(Margins(-1.0, 0.5), known, torch.eye(2, dtype=torch.float64))
    assert probe.num_known == 3
    probe.follow(Margins(-0.5, 2.0))
    assert probe.margins == Margins(-1.0, 0.5)
    probe.follow(Margins(-INFINITE, 2.0))
    assert probe.margins == Margins(-INFINITE, 2.0)
    assert probe.num_known == 1
    assert probe.weights.tolist() == [[0.0, 1.0]]
