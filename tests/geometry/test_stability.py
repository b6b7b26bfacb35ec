"""The sharpness that an optimiser sees, against dense matrices and a run that goes to its edge."""

import math
from functools import cache
from importlib import import_module

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn
from torch.optim import SGD, Adam

import landscope as ls
from landscope.geometry.definitions import DEFINITIONS
from landscope.geometry.stability import EDGE
from tests.reference.networks import CASES, dense

CASE = CASES["mlp"]
MODULE = import_module("landscope.geometry.stability")


@cache
def problem():
    return ls.Problem(CASE.model(), CASE.data())


def sharpness_of(matrix):
    return np.linalg.eigvalsh(matrix.numpy())[-1]


def measure(make, **options):
    model = CASE.model()
    return ls.stability(problem(), model, make(model.parameters()), tol=1e-9, **options)


def with_moments(parameters):
    """Adam in the middle of a run, and 1/P in the order of the weights."""
    optimizer = Adam(parameters, lr=0.01, betas=(0.9, 0.99), eps=1e-4, weight_decay=0.3)
    generator = torch.Generator().manual_seed(3)
    inverse = []
    for p in optimizer.param_groups[0]["params"]:
        v = torch.rand(p.shape, dtype=torch.float64, generator=generator)
        optimizer.state[p] = {"step": torch.tensor(7.0), "exp_avg_sq": v, "exp_avg": 0 * v}
        P = (1 - 0.9**7) * ((v / (1 - 0.99**7)).sqrt() + 1e-4)
        inverse.append((1 / P).reshape(-1))
    return optimizer, torch.cat(inverse)


def test_the_preconditioned_sharpness_is_that_of_the_dense_matrix():
    inverse = with_moments(CASE.model().parameters())[1]
    measured = measure(lambda parameters: with_moments(parameters)[0])
    H = dense("mlp").hessian
    S, decay = inverse.sqrt().diag(), 0.3 * torch.eye(len(H), dtype=torch.float64)
    expected = sharpness_of(S @ (H + decay) @ S)
    assert measured.preconditioned_sharpness == pytest.approx(expected, rel=1e-8)
    assert measured.sharpness == pytest.approx(sharpness_of(H), rel=1e-8)
    assert (measured.rule, measured.preconditioned) == ("Adam", True)
    assert measured.limit == pytest.approx(2 * 1.9 / (0.1 * 0.01))
    assert measured.ratio == pytest.approx(expected / 3800)
    assert measured.max_learning_rate == pytest.approx(38 / expected)
    assert measured.residual < 1e-8 * expected


def test_gradient_descent_sees_the_sharpness_itself():
    measured = measure(lambda parameters: SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.2))
    expected = sharpness_of(dense("mlp").hessian)
    assert measured.sharpness == pytest.approx(expected, rel=1e-8)
    assert measured.preconditioned_sharpness == pytest.approx(expected + 0.2, rel=1e-8)
    assert measured.limit == pytest.approx(38)
    assert (measured.rule, measured.preconditioned) == ("heavy ball", False)


def test_groups_are_seen_by_their_own_learning_rates():
    model = CASE.model()
    named = dict(model.named_parameters())
    rates = {name: 0.2 if "weight" in name else 0.05 for name in named}
    groups = [{"params": [named[name]], "lr": rate} for name, rate in rates.items()]
    measured = ls.stability(problem(), model, SGD(groups), tol=1e-9)
    S = problem().flatten({n: torch.full_like(p, rates[n] ** 0.5) for n, p in named.items()}).diag()
    expected = sharpness_of(S.detach() @ dense("mlp").hessian @ S.detach())
    assert measured.ratio == pytest.approx(expected / 2, rel=1e-8)
    assert measured.learning_rate == 0.2
    assert measured.max_learning_rate == pytest.approx(0.2 * 2 / expected, rel=1e-8)


def test_a_sharpness_that_is_known_is_not_measured_again(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("an eigenproblem is solved")

    monkeypatch.setattr(MODULE, "eigsh", refuse)
    measured = measure(lambda parameters: SGD(parameters, lr=0.5), sharpness=3.0)
    assert (measured.sharpness, measured.ratio) == (3.0, 0.75)
    assert measured.vector is None
    assert math.isnan(measured.residual)


def test_the_eigenvector_starts_the_next_measurement(monkeypatch):
    first = measure(lambda parameters: with_moments(parameters)[0], sharpness=1.0)
    started = []

    def watched(A, k, v0=None, **options):
        started.append(v0)
        return ls.eigsh(A, k, v0=v0, **options)

    monkeypatch.setattr(MODULE, "eigsh", watched)
    again = measure(lambda p: with_moments(p)[0], sharpness=1.0, v0=first.vector)
    assert len(started) == 1
    assert started[0] is first.vector
    assert again.preconditioned_sharpness == pytest.approx(first.preconditioned_sharpness)


def test_at_the_start_of_a_warm_up_the_largest_learning_rate_is_known():
    warming_up = measure(lambda parameters: SGD(parameters, lr=0.0))
    running = measure(lambda parameters: SGD(parameters, lr=0.3))
    assert (warming_up.ratio, warming_up.limit, warming_up.at_edge) == (0, math.inf, False)
    assert warming_up.max_learning_rate == pytest.approx(running.max_learning_rate)


def test_without_positive_curvature_every_learning_rate_is_stable():
    measured = measure(lambda parameters: SGD(parameters, lr=0.3), sharpness=-1.0)
    assert measured.max_learning_rate == math.inf
    assert not measured.at_edge


@pytest.mark.parametrize("share", [0.8, 0.95, 1.2])
def test_the_edge_begins_at_nine_tenths_of_the_limit(share):
    measured = measure(lambda parameters: SGD(parameters, lr=0.5), sharpness=4 * share)
    assert measured.at_edge == (share >= EDGE == 0.9)


@pytest.mark.parametrize("sharpness", [math.nan, math.inf])
def test_a_sharpness_that_is_no_number_is_refused(sharpness):
    with pytest.raises(ValueError, match=r"sharpness is .*; it must be a number in \(-∞, ∞\)"):
        measure(lambda parameters: SGD(parameters, lr=0.5), sharpness=sharpness)


def test_its_variables_are_described_and_survive_a_file(tmp_path):
    measured = measure(lambda parameters: SGD(parameters, lr=0.5, momentum=0.5), sharpness=5.9)
    snapshot = xr.Dataset({"loss": 1.0}).assign(measured.variables())
    expected = {
        "learning_rate": 0.5,
        "preconditioned_sharpness": 5.9,
        "sharpness_limit": 6,
        "stability_ratio": 5.9 / 6,
        "at_edge": 1,
        "max_learning_rate": 3 / 5.9,
    }
    for name, value in expected.items():
        assert float(snapshot[name]) == pytest.approx(value), name
        assert snapshot[name].attrs["definition"] == DEFINITIONS[name].definition
    assert math.isnan(snapshot["preconditioned_sharpness_residual"])
    assert snapshot["sharpness_limit"].attrs["rule"] == "heavy ball"
    assert snapshot["sharpness_limit"].attrs["limit_of"] == "λ_max(H)"
    snapshot.to_netcdf(tmp_path / "snapshot.nc", engine="netcdf4")
    with xr.open_dataset(tmp_path / "snapshot.nc", engine="netcdf4") as read:
        xr.testing.assert_identical(read.load(), snapshot)


@pytest.mark.usefixtures("unchecked")
def test_full_batch_gradient_descent_sharpens_until_it_is_at_the_edge_and_stays_there():
    """Cohen et al. 2021, on a cubic Chebyshev polynomial."""
    x = torch.linspace(-1, 1, 20, dtype=torch.float64)[:, None]
    y = 4 * x**3 - 3 * x
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 12), nn.Tanh(), nn.Linear(12, 1)).double()
    start = ls.Problem(model, (x, y), loss="mse")
    optimizer = SGD(model.parameters(), lr=0.3)
    ratios, losses = [], []
    for step in range(1001):
        if step % 100 == 0:
            here = start.at(model)
            ratios.append(ls.stability(here, model, optimizer).ratio)
            losses.append(float(here.loss()))
        optimizer.zero_grad()
        (0.5 * (model(x) - y).square().sum(1).mean()).backward()
        optimizer.step()
    assert ratios[0] < 0.7
    late = np.array(ratios[3:])
    assert late.mean() == pytest.approx(1, abs=0.1)
    assert 0.7 < late.min() < EDGE < late.max() < 1.3
    assert losses[-1] < losses[3] < losses[0] / 10
