"""What all trackers show of a snapshot: numbers, histograms and pictures."""

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.stats import norm
from torch import nn

import landscope as ls
from landscope.integrations.histograms import histograms
from landscope.integrations.pictures import pictures
from landscope.integrations.scalars import scalars


def seen_through_a_kernel(bulk, single, width, num_grid=2001):
    """The snapshot of a Hessian whose every eigenvalue is known."""
    grid = np.linspace(bulk.min() - 5 * width, bulk.max() + 5 * width, num_grid)
    every = np.concatenate([bulk, single])
    return xr.Dataset(
        {
            "num_params": every.size,
            "hessian_density_width": width,
            "hessian_density_grid": ("grid", grid),
            "hessian_density": ("grid", norm.pdf(grid[:, None], every, width).mean(axis=1)),
            "hessian_single_eigenvalues": ("hessian_single", single),
        }
    )


def test_a_histogram_counts_single_eigenvalues_exactly_and_the_rest_through_the_kernel():
    bulk, width = np.random.default_rng(0).normal(size=500), 0.1
    single = np.array([9.0, 7.5, bulk.max() + 2 * width, -6.0])  # one of them on the grid's end
    histogram = histograms(seen_through_a_kernel(bulk, single, width))["landscope/hessian_spectrum"]
    edges = histogram.edges
    spread = np.diff(norm.cdf(edges[:, None], bulk, width).sum(axis=1))
    expected = spread + np.histogram(single, edges)[0]
    assert (edges[0], edges[-1]) == (-6.0, 9.0)
    assert histogram.counts == pytest.approx(expected, abs=2e-3)
    assert histogram.counts.sum() == pytest.approx(504, rel=1e-12)


def test_the_histogram_of_a_measured_hessian_counts_as_its_eigenvalues_do():
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    data = (torch.randn(30, 3, generator=generator), torch.arange(30) % 3)
    problem = ls.Problem(model.double(), (data[0].double(), data[1]))
    snapshot = ls.measure(problem, parts=["hessian_density"], num_probes=8, num_steps=30)
    histogram = histograms(snapshot)["landscope/hessian_spectrum"]
    values = torch.linalg.eigvalsh(ls.Hessian(problem).to_dense()).numpy()
    width = float(snapshot.hessian_density_width)
    below = np.concatenate([[0], np.cumsum(histogram.counts)])
    exact = norm.cdf(histogram.edges[:, None], values, width).sum(axis=1)
    assert below[-1] == pytest.approx(problem.num_params, rel=1e-12)
    assert np.abs(below - exact).max() < 0.06 * problem.num_params
    assert histogram.edges[-1] >= values[-1] * (1 - 1e-6)


def test_numbers_are_those_that_are_finite_and_the_ends_of_the_spectra(snapshot):
    shown = scalars(snapshot.assign(hessian_bulk_edge=np.nan))
    assert "landscope/hessian_bulk_edge" not in shown
    assert shown["landscope/loss"] == float(snapshot.loss)
    assert shown["landscope/hessian_min_eigenvalue"] == float(snapshot.hessian_min_eigenvalue)
    assert shown["landscope/lambda_max"] == snapshot.hessian_eigenvalues.values.max()
    assert (
        shown["landscope/gauss_newton_lambda_max"] == snapshot.gauss_newton_eigenvalues.values.max()
    )
    top_ten = (snapshot.hessian_gradient_cosines.values[:10] ** 2).sum()
    assert shown["landscope/hessian_top_gradient_power"] == pytest.approx(top_ten)
    assert all(np.isfinite(value) and isinstance(value, float) for value in shown.values())


@pytest.mark.usefixtures("not_laid_out")
def test_pictures_are_of_one_step_and_say_which(snapshot, images):
    names = ["landscope/spectrum", "landscope/gradient_power", "landscope/clustering_table"]
    assert list(images) == names
    for image in images.values():
        assert image.dtype == np.uint8
        assert image.shape[2:] == (3,)
        ink = (image < 200).any(axis=2).mean()
        assert 0.005 < ink < 0.6
    same_but_for_the_title = pictures(317, snapshot)
    for name in names:
        assert same_but_for_the_title[name].shape == images[name].shape
        changed = (same_but_for_the_title[name] != images[name]).any(axis=2).mean()
        assert 0 < changed < 0.01


def test_what_was_not_measured_is_not_shown():
    snapshot = xr.Dataset({"loss": 2.0})
    assert scalars(snapshot) == {"landscope/loss": 2.0}
    assert histograms(snapshot) == {}
    assert pictures(0, snapshot) == {}
