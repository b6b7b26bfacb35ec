"""Curvature in hyperplanes along the radius, against dense matrices."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import landscope as ls
from landscope.hyperplanes import BasisKind, draw_basis
from landscope.training import ScaleInvarianceWarning

# Shapes are checked in the tests of what is measured, and are no matter of training.


def made_problem(*more, loss="cross_entropy"):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), *more, nn.Tanh(), nn.Linear(6, 3)).double().eval()
    x = torch.randn(20, 4, dtype=torch.float64)
    targets = torch.arange(20) % 3
    if loss == "mse":
        targets = torch.randn(20, 3, dtype=torch.float64)
    return ls.Problem(net, (x, targets), loss=loss)


def test_each_radius_is_that_of_dense_matrices():
    problem = made_problem()
    found = ls.goldilocks(problem, [0.5, 2.0], dim=5, num_hyperplanes=2, seed=7)
    P = draw_basis(BasisKind.DENSE, problem.num_params, 5, 8, torch.float64).to_dense()
    at = problem.at(2 * problem.parameters_vector())
    for prefix, operator in (("", ls.Hessian(at)), ("gauss_newton_", ls.GaussNewton(at))):
        values = torch.linalg.eigvalsh(P.T @ operator.to_dense() @ P)
        second = found.sel(radius=2.0).isel(hyperplane=1)
        assert float(second[f"{prefix}trace_each"]) == pytest.approx(float(values.sum()))
        assert float(second[f"{prefix}frobenius_norm_each"]) == pytest.approx(float(values.norm()))
        share = float((values > 1e-12).double().mean())
        assert float(second[f"{prefix}positive_share_each"]) == pytest.approx(share)
        ratio = float(values.sum() / values.norm())
        assert float(second[f"{prefix}trace_over_norm_each"]) == pytest.approx(ratio)
    probabilities = ls.class_probabilities(at)
    assert float(found["sigma_z"].sel(radius=2.0)) == pytest.approx(float(probabilities.sigma_z))
    assert float(found["loss"].sel(radius=2.0)) == pytest.approx(float(at.loss()))


def test_means_and_errors_are_those_over_hyperplanes():
    found = ls.goldilocks(made_problem(), [1.0], dim=5, num_hyperplanes=4)
    each = found["trace_over_norm_each"].isel(radius=0).values
    assert float(found["trace_over_norm"][0]) == pytest.approx(each.mean())
    expected = each.std(ddof=1) / 2
    assert float(found["trace_over_norm_stderr"][0]) == pytest.approx(expected)
    assert len(np.unique(each)) == 4


def test_the_mean_trace_is_that_of_the_whole_within_its_interval():
    problem = made_problem()
    found = ls.goldilocks(problem, [1.0], dim=5, num_hyperplanes=10)
    H = ls.Hessian(problem).to_dense()
    expected = ls.hyperplanes.expected_trace(H.trace(), H.norm(), problem.num_params, 5)
    away = float(found["trace"][0]) - expected.value
    assert abs(away) < 4 * expected.stderr / 10**0.5


def test_a_run_goes_on_where_it_was_stopped(tmp_path):
    problem = made_problem()

    class StoppedError(Exception):
        pass

    def stop(done, total, doing):
        if done == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        ls.goldilocks(problem, [0.5, 1, 2], dim=3, num_hyperplanes=2, run=tmp_path, progress=stop)
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "snapshots").iterdir()}
    assert len(kept) == 2
    found = ls.goldilocks(problem, [0.5, 1, 2], dim=3, num_hyperplanes=2, run=tmp_path)
    assert all(file.stat().st_mtime_ns == at for file, at in kept.items())
    expected = ls.goldilocks(problem, [0.5, 1, 2], dim=3, num_hyperplanes=2)
    for name in expected.data_vars:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12)
    with pytest.raises(ValueError, match="another configuration: dim is 3 there and 4 here"):
        ls.goldilocks(problem, [0.5, 1, 2], dim=4, num_hyperplanes=2, run=tmp_path)


def test_a_regression_has_curvature_and_no_classes():
    found = ls.goldilocks(made_problem(loss="mse"), [1.0], dim=3)
    # A target may be read as scores of classes, so that only the curvature is asked about.
    assert float(found["gauss_newton_positive_share"][0]) == 1.0


@pytest.mark.parametrize("radius", [0.0, -1.0, float("inf"), float("nan")])
def test_a_radius_must_be_positive(radius):
    with pytest.raises(ValueError, match="it must be a number in"):
        ls.goldilocks(made_problem(), [1.0, radius], dim=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"radii": []}, r"radii is \[\]"),
        ({"dim": 10**6}, "dim is 1000000; it must be an integer from 1 to D = 51"),
        ({"num_hyperplanes": 0}, "num_hyperplanes is 0"),
        ({"kind": "given"}, "kind is 'given'"),
        ({"kind": "random"}, "kind is 'random'"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        ls.goldilocks(made_problem(), **{"radii": [1.0], "dim": 3, **arguments})


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(6), nn.LayerNorm(6), nn.GroupNorm(2, 6)])
def test_a_normalised_network_is_warned_of(layer):
    problem = made_problem(layer)
    said = f"{type(layer).__name__} '1': the scale of the weights before it does not matter"
    with pytest.warns(ScaleInvarianceWarning, match=said):
        ls.goldilocks(problem, [1.0], dim=3)


def test_no_other_network_is():
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScaleInvarianceWarning)
        ls.goldilocks(made_problem(), [1.0], dim=3)
