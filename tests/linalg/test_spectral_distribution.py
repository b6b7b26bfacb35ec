"""Shares and quantiles of exact spectra: their intervals cover, with atoms and clusters, too."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch

from landscope.linalg import eigsh, spectral_density

from .conftest import DiagonalOperator, plausible_coverage

INF = math.inf


def normal(seed, size):
    return np.random.default_rng(seed).standard_normal(size)


SPECTRA = {
    "atoms": np.concatenate([np.zeros(40), np.ones(30), np.linspace(-0.5, 2, 10)]),
    "clusters": np.concatenate([c + 1e-3 * normal(i, 20) for i, c in enumerate((-1, 0, 0.3, 2))]),
    "power law": np.arange(1, 81.0) ** -1.5,
    "two bulks": np.concatenate([0.15 * normal(1, 30) - 1, 0.3 * normal(2, 50) + 1]),
    "low rank": np.concatenate([np.geomspace(1, 20, 6), np.zeros(74)]),
    "negative part": np.concatenate([np.geomspace(10, 4, 4), 0.6 * normal(0, 76)]),
    "doubles": np.repeat(np.linspace(-1, 3, 40), 2),
}
SETTINGS = {
    "open": {"num_probes": 4, "num_steps": 8},
    "one probe, open": {"num_probes": 1, "num_steps": 12},
    "closed": {"num_probes": 4, "num_steps": 100},
    "one probe, closed": {"num_probes": 1, "num_steps": 100},
    "converged": {"num_probes": 3, "num_steps": 25, "deflate": "converged"},
    "pairs": {"num_probes": 3, "num_steps": 12, "deflate": 4},
}


def hits_of(density, values, quantiles):
    """Which intervals hold the exact spectrum's shares and quantiles."""
    low, high = values.min(), values.max()
    reach = high - low
    masses = [
        (-INF, np.median(values)),
        (-0.01 * reach, 0.01 * reach),
        (low + 0.2 * reach, low + 0.6 * reach),
        (high - 0.3 * reach, INF),
        (0.0, INF),
    ]
    hits = []
    for a, b in masses:
        least, most = density.mass(a, b).interval()
        hits.append(least - 1e-12 <= np.mean((values >= a) & (values <= b)) <= most + 1e-12)
    x = np.quantile(values, [0.03, 0.3, 0.7, 0.97]) + 0.0137 * reach
    least, most = (bound.numpy() for bound in density.cdf_bounds(torch.as_tensor(x)))
    up_to = (values <= x[:, None]).mean(1)
    hits.extend((least - 1e-12 <= up_to) & (up_to <= most + 1e-12))
    for q in quantiles:
        least, most = density.quantile(q).interval()
        hits.append(least <= np.sort(values)[math.ceil(q * len(values) - 1e-9) - 1] <= most)
    return hits


def coverage_of(values, num_runs, quantiles=(), **settings):
    operator = DiagonalOperator(torch.as_tensor(values))
    if settings.get("deflate") == 4:
        settings = settings | {"deflate": eigsh(operator, 4, "LM", tol=1e-4)}
    runs = (spectral_density(operator, seed=s, num_grid=3, **settings) for s in range(num_runs))
    return np.mean([hits_of(density, values, quantiles) for density in runs], axis=0)


@pytest.mark.parametrize("setting", ["open", "one probe, closed", "converged"])
@pytest.mark.usefixtures("unchecked")
def test_intervals_cover_the_exact_spectrum(setting):
    """One seed of each spectrum, together: as often as they say, within chance."""
    coverage = [coverage_of(values, 1, (0.5,), **SETTINGS[setting]) for values in SPECTRA.values()]
    assert np.mean(coverage) >= 0.85


@pytest.mark.slow
@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.usefixtures("unchecked")
def test_intervals_cover_the_exact_spectrum_as_often_as_they_say(spectrum, setting):
    """At least, since bounds are for the worst measure; where all is known, always."""
    num_runs = 1000
    coverage = coverage_of(SPECTRA[spectrum], num_runs, (0.02, 0.5, 0.98), **SETTINGS[setting])
    assert coverage.min() >= plausible_coverage(len(coverage), num_runs)[0]


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_intervals_are_no_wider_than_they_say_where_nothing_is_open():
    """Shares of a third and a half by exhausted Krylov spaces: sampling errors alone."""
    values = np.repeat([-1.0, 0.0, 2.0], [120, 60, 180])
    operator = DiagonalOperator(torch.as_tensor(values))
    hits = []
    for seed in range(1000):
        density = spectral_density(operator, 2, seed=seed, num_grid=3)
        ends = [density.mass(-2, -0.5).interval(), density.cdf_bounds(0.5)]
        shares = zip(ends, (1 / 3, 0.5), strict=True)
        hits.append([low <= share <= high for (low, high), share in shares])
    assert np.abs(np.mean(hits, axis=0) - 0.955).max() <= 0.025


@pytest.mark.parametrize(
    ("deflate", "dtype"),
    [
        pytest.param(deflate, dtype, marks=() if (i + j) % 2 == 0 else pytest.mark.slow)
        for i, deflate in enumerate([0, "converged", 3, 5])
        for j, dtype in enumerate([torch.float64, torch.float32])
    ],
)
def test_three_eigenvalues_and_997_zeros(deflate, dtype):
    values = torch.zeros(1000, dtype=dtype)
    values[:3] = torch.tensor([20.0, 10.0, 5.0])
    density = spectral_density(DiagonalOperator(values), num_grid=9, deflate=deflate)
    near_zero = density.mass(-0.01, 0.01)
    assert near_zero == pytest.approx(0.997, abs=0.004)
    shares = {(-0.01, 0.01): 0.997, (-1e9, -0.05): 0.0, (4.0, 20.0): 0.003, (0.0, INF): 1.0}
    for (a, b), share in shares.items():
        low, high = density.mass(a, b).interval()
        assert low <= share <= high
        assert high - low <= 0.006
    assert near_zero.exact == (deflate != 0)
    (atom,) = density.atoms()
    assert abs(atom.location) <= atom.error < 1e-4
    assert atom.share == near_zero
    rounding = 2e-4 if dtype == torch.float32 else 1e-11  # twice 32 eps of the largest
    for q in (0.05, 0.5, 0.99):
        low, high = density.quantile(q).interval()
        assert low <= 0 <= high
        assert high - low < rounding
    assert density.kernel.width == pytest.approx(20 / 80, rel=1e-6)


def test_atoms_of_a_spectrum_that_is_deflated_whole():
    values = torch.tensor([2.0, 0.0, 0.0], dtype=torch.float64)
    (atom,) = spectral_density(DiagonalOperator(values), num_grid=9, deflate=3).atoms()
    assert abs(atom.location) <= atom.error
    assert atom.share.exact
    assert atom.share == pytest.approx(2 / 3)


def test_a_known_sign_is_used():
    operator = DiagonalOperator(torch.cat([torch.zeros(150), torch.linspace(0, 3, 50)]).double())
    operator.psd = True
    density = spectral_density(operator, 2, 6)
    assert density.nodes.min() >= 0
    # The curve has the kernel on both sides of 0: its mean is that of the spectrum.
    curve, grid = density.density, density.grid
    assert torch.trapezoid(curve, grid).item() == pytest.approx(1, abs=1e-3)
    mean = torch.trapezoid(curve * grid, grid).item()
    assert mean == pytest.approx((density.nodes @ density.weights).item(), abs=1e-3)
    assert density.mass(-INF, -1e-6).exact
    assert density.mass(-INF, -1e-6) == 0
    assert density.mass(0, INF).interval() == (1, 1)
    for q in (0.001, 0.3, 0.9):
        assert density.quantile(q).interval()[0] >= 0


def test_few_copies_are_no_certain_atom_and_many_deflated_are(operator_with):
    values = np.concatenate([[5.0, 5.0, 5.0], np.linspace(0, 1, 97)])
    operator = operator_with(values)
    assert spectral_density(operator, 1, 30).atoms() == []
    (atom,) = spectral_density(operator, 1, 30, deflate=3).atoms()
    assert atom.location == pytest.approx(5, abs=1e-3)
    assert atom.share.interval() == (0.03, 0.03)


@pytest.mark.parametrize("values", [[3.0], [0.0, 0.0], [1.0, 2.0], 30 * [0.0], 25 * [1e-30]])
@pytest.mark.parametrize("deflate", [0, 1, "converged"])
def test_degenerate_spectra(values, deflate):
    density = spectral_density(DiagonalOperator(np.array(values)), deflate=deflate)
    for x in (-1.0, *values, 5.0):
        low, high = density.cdf_bounds(x)
        assert low <= np.mean(np.array(values) <= x) <= high
    low, high = density.quantile(0.5).interval()
    assert low <= values[0] <= high


@pytest.mark.parametrize("seed", range(8))
def test_quantiles_of_two_eigenvalues_by_one_probe(seed):
    density = spectral_density(DiagonalOperator(np.array([-1.0, 3.0])), 1, seed=seed, num_grid=3)
    low, high = density.quantile(0.1).interval(0.6)
    assert low <= high
    assert density.quantile(0.1).stderr >= 0


def test_bounds_take_numbers_and_tensors_and_rise(operator_with):
    density = spectral_density(operator_with(SPECTRA["two bulks"]), 3, 10)
    assert all(isinstance(end, float) for end in density.cdf_bounds(0))
    assert density.cdf_bounds(-INF) == (0, 0)
    assert density.cdf_bounds(INF) == (1, 1)
    x = torch.linspace(-3, 3, 60).reshape(2, 30)
    low, high = density.cdf_bounds(x, level=0.8)
    assert low.shape == high.shape == x.shape
    assert (low.flatten().diff() >= 0).all()
    assert (high.flatten().diff() >= 0).all()
    wide = density.cdf_bounds(x, level=0.99)
    assert (wide[0] <= low).all()
    assert (wide[1] >= high).all()
    with pytest.raises(ValueError, match=r"level is 1\.0"):
        density.cdf_bounds(0.0, level=1.0)
    with pytest.raises(ValueError, match="x must hold numbers"):
        density.cdf_bounds(float("nan"))


def test_estimates_are_picklable_with_their_intervals(operator_with):
    density = spectral_density(operator_with(SPECTRA["two bulks"]), 2, 10)
    for estimate in (density.mass(0, 1), density.quantile(0.4)):
        for duplicate in (copy.deepcopy(estimate), pickle.loads(pickle.dumps(estimate))):
            assert duplicate == estimate
            assert duplicate.interval(0.9) == estimate.interval(0.9)
    assert "Gaussian kernel, σ = " in repr(density)
