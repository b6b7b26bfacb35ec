import copy
import math
import pickle
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from landscope.linalg import GaussianKernel, eigsh, spectral_density
from landscope.linalg.probe_mean import probe_mean
from landscope.linalg.quadrature import Quadrature

from .conftest import DiagonalOperator, plausible_coverage

NUM_RUNS = 100
INF = math.inf
SPECTRA = {
    "loss Hessian": np.concatenate(
        [np.geomspace(10, 4, 4), 0.6 * np.random.default_rng(0).standard_normal(76)]
    ),
    "even": np.linspace(-1, 2, 80),
    "two bulks": np.concatenate(
        [
            0.15 * np.random.default_rng(1).standard_normal(30) - 1,
            0.3 * np.random.default_rng(2).standard_normal(50) + 1,
        ]
    ),
}

# Runs of Lanczos are slow; that any spectrum is covered is seen without them as well.
LOSS_HESSIAN_FIRST = [
    "loss Hessian",
    *(pytest.param(spectrum, marks=pytest.mark.slow) for spectrum in ("even", "two bulks")),
]


def exact_density(density, eigenvalues):
    """The kernel-smoothed spectrum itself."""
    law = stats.norm(np.asarray(eigenvalues), density.kernel.width)
    return law.pdf(density.grid.numpy()[:, None]).mean(1)


CHOICES = set(product(SPECTRA, (4, 8), (0.1, 0.4)))
COVERING = {("loss Hessian", 4, 0.1), ("even", 8, 0.1), ("two bulks", 4, 0.4)}


@pytest.mark.parametrize(
    ("spectrum", "num_probes", "width"),
    [
        *sorted(COVERING),
        *(pytest.param(*choice, marks=pytest.mark.slow) for choice in sorted(CHOICES - COVERING)),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_every_point_is_covered_as_often_as_stated(spectrum, num_probes, width):
    """For probes whose squared components along the eigenvectors are known to the quadrature."""
    num_runs = 1500
    values = torch.as_tensor(SPECTRA[spectrum])
    dim = len(values)
    f = GaussianKernel(width)(torch.linspace(-1.5, 2, 15, dtype=values.dtype)[:, None] - values)
    truth = f.mean(1)
    gaussian = np.random.default_rng(0).standard_normal((num_runs, num_probes, dim)) ** 2
    weights = torch.as_tensor((gaussian / gaussian.sum(2, keepdims=True)).mean(1))
    unused = values.new_zeros(dim, 2), values.new_zeros(dim), values.new_zeros(dim, 2)
    sampled = torch.ones(dim, dtype=torch.bool)
    inside = torch.zeros_like(truth)
    for shares in weights:
        probes = Quadrature(values, shares, sampled, *unused)
        mean, stderr, dof = probe_mean(f, probes, num_probes, dim)
        half = torch.from_numpy(stats.t.ppf(0.975, dof.numpy())) * stderr
        inside += (mean - truth).abs() <= half
    coverage = inside[truth > 1e-2 * truth.max()] / num_runs
    assert 0.94 <= coverage.mean() <= 0.97
    assert coverage.min() >= 0.93
    assert coverage.max() <= 0.985


@pytest.mark.parametrize("spectrum", LOSS_HESSIAN_FIRST)
@pytest.mark.usefixtures("unchecked")
def test_intervals_cover_the_smoothed_spectrum_as_often_as_they_say(operator_with, spectrum):
    values = SPECTRA[spectrum]
    operator = operator_with(values)
    limits = (values.min(), values.max())
    hits = []
    for seed in range(NUM_RUNS):
        found = spectral_density(
            operator, num_probes=4, num_steps=7, seed=seed, num_grid=25, width=1.0, limits=limits
        )
        low, high = found.interval()
        truth = exact_density(found, values)
        inside = (low.numpy() <= truth) & (truth <= high.numpy())
        hits.append(inside[truth > 1e-2 * truth.max()][::4])
    coverage = np.mean(hits, axis=0)
    assert 0.93 <= coverage.mean() <= 0.97
    assert coverage.min() >= plausible_coverage(len(coverage), NUM_RUNS)[0]


@pytest.mark.parametrize("spectrum", LOSS_HESSIAN_FIRST)
@pytest.mark.parametrize("deflate", [pytest.param(4, marks=pytest.mark.slow), "converged"])
@pytest.mark.usefixtures("unchecked")
def test_intervals_around_deflated_outliers_cover_as_often_as_they_say(
    operator_with, deflate, spectrum
):
    values = SPECTRA[spectrum]
    operator = operator_with(values)
    pairs = eigsh(operator, 4, "LM", tol=1e-9) if deflate == 4 else deflate
    num_steps = 10 if deflate == 4 else 18
    hits = []
    for seed in range(NUM_RUNS):
        found = spectral_density(
            operator, 2, num_steps, seed, 9, width=0.4, limits=(-1, 2), deflate=pairs
        )
        low, high = found.interval()
        truth = exact_density(found, values)
        inside = (low.numpy() <= truth) & (truth <= high.numpy())
        hits.append(inside[truth > 1e-2 * truth.max()])
    coverage = np.mean(hits, axis=0)
    least, largest = plausible_coverage(len(coverage), NUM_RUNS)
    assert 0.93 <= coverage.mean() <= 0.97
    assert least <= coverage.min()
    assert coverage.max() <= largest


@pytest.mark.usefixtures("unchecked")
def test_an_eigenvalue_that_converges_by_chance_has_its_weight_in_every_run():
    """A probe with little of it converges later: weights of those that have would be too small."""
    values = np.concatenate([[10, 7, 5], np.linspace(-1.5, 1.5, 97)])
    operator = DiagonalOperator(values)
    shares = []
    for seed in range(40):
        found = spectral_density(operator, 3, 15, seed, num_grid=3, deflate="converged")
        nodes, weights = found.quadrature.nodes, found.quadrature.weights
        of_last = (nodes - 5).abs() < 0.1
        shares.append(100 * weights[of_last].sum().item())
        if not found.quadrature.sampled[of_last].all():
            assert not found.quadrature.sampled[of_last].any()
            assert shares[-1] == pytest.approx(1)
    assert 5 < np.isclose(shares, 1).sum() < 40  # it converges in some runs, and not in all


@pytest.mark.parametrize(
    "deflate", [*(pytest.param(d, marks=pytest.mark.slow) for d in (0, 4)), "converged"]
)
@pytest.mark.usefixtures("unchecked")
def test_probes_are_added_until_the_error_is_reached_and_it_is_honest(operator_with, deflate):
    values = SPECTRA["loss Hessian"]
    operator = operator_with(values)
    pairs = eigsh(operator, 4, tol=1e-9) if deflate == 4 else deflate
    hits = []
    for seed in range(NUM_RUNS):
        found = spectral_density(
            operator, None, 12, seed, 9, width=0.4, limits=(-2, 2), deflate=pairs, rtol=0.12
        )
        assert found.stderr.max() <= 0.12 * found.density.max()
        low, high = found.interval()
        truth = exact_density(found, values)
        hits.append((low.numpy() <= truth) & (truth <= high.numpy()))
    assert 0.91 <= np.mean(hits) <= 0.99
    once = spectral_density(operator, 1, 12, 0, 9, width=0.4, limits=(-2, 2), rtol=1e-3)
    assert once.num_probes == 1
    assert once.stderr.max() > 1e-3 * once.density.max()


@pytest.mark.parametrize("deflate", [4, "converged"])
def test_deflated_outliers_are_exact_and_the_bulk_gets_kernel_and_grid(operator_with, deflate):
    values = SPECTRA["loss Hessian"]
    density = spectral_density(operator_with(values), 1, 40, deflate=deflate)
    top = density.nodes[~density.quadrature.sampled].sort(descending=True).values[:4]
    torch.testing.assert_close(top, torch.as_tensor(values[:4].copy()), rtol=1e-8, atol=0)
    outliers = density.mass(2.0, INF)
    assert outliers == pytest.approx(4 / 80, abs=1e-9)
    assert outliers.stderr < 1e-9
    assert density.mass(-INF, INF) == pytest.approx(1.0, abs=1e-12)
    assert density.grid.max() < 3
    assert density.kernel.width < 0.1
    assert density.num_products == 40 if deflate == "converged" else density.num_products > 40


def test_known_eigenpairs_cost_no_products(operator_with):
    operator = operator_with(SPECTRA["loss Hessian"])
    pairs = eigsh(operator, 4)
    before = operator.num_products
    density = spectral_density(operator, 2, 10, deflate=pairs)
    assert operator.num_products - before == density.num_products == 20


@pytest.mark.parametrize("deflate", [0, 3, "converged"])
def test_probes_side_by_side_give_the_same_density(operator_with, deflate):
    operator = operator_with(SPECTRA["loss Hessian"])
    one_by_one = spectral_density(operator, 5, 12, deflate=deflate)
    operator.block_size = 3
    in_blocks = spectral_density(operator, 5, 12, deflate=deflate)
    assert in_blocks.num_products == one_by_one.num_products
    torch.testing.assert_close(in_blocks.density, one_by_one.density, rtol=1e-9, atol=1e-12)


def test_multiple_eigenvalues_are_deflated_with_their_multiplicity(operator_with):
    values = np.concatenate([[5.0, 5.0, 5.0], np.linspace(0, 1, 97)])
    density = spectral_density(operator_with(values), 1, 30, deflate=3)
    assert density.mass(4, 6) == pytest.approx(0.03, abs=1e-9)


@pytest.mark.parametrize("deflate", [5, "converged"])
def test_whole_spectrum_deflated_is_the_spectrum(operator_with, deflate):
    values = np.array([-1.0, 0.0, 0.5, 2.0, 3.0])
    density = spectral_density(operator_with(values), 1, deflate=deflate)
    nodes = density.nodes.sort().values
    torch.testing.assert_close(nodes, torch.as_tensor(values), rtol=0, atol=1e-12)
    torch.testing.assert_close(density.weights, torch.full((5,), 0.2, dtype=torch.float64))
    assert density.stderr.max() == 0
    assert density.mass(1, INF).exact


@pytest.mark.parametrize("values", [np.zeros(30), np.ones(30), [2.0] + 29 * [0.0], [3.0]])
@pytest.mark.parametrize("deflate", [0, 1, "converged"])
def test_degenerate_spectra_keep_their_mass(operator_with, values, deflate):
    density = spectral_density(operator_with(values), 4, 10, deflate=deflate, width=0.1)
    assert density.weights.sum() == pytest.approx(1.0, abs=1e-12)
    share = np.mean(np.asarray(values) > 0.5)
    found = density.mass(0.5, INF)
    assert abs(found - share) <= 4 * found.stderr + 1e-6


@pytest.mark.usefixtures("unchecked")
def test_density_has_mass_one_and_agrees_with_the_spectrum(operator_with):
    values = SPECTRA["loss Hessian"]
    density = spectral_density(operator_with(values), num_probes=30, num_steps=40)
    assert integrate.trapezoid(density.density, density.grid) == pytest.approx(1.0, abs=1e-6)
    assert density.kernel.width == pytest.approx((values.max() - values.min()) / 40, rel=1e-6)
    truth = exact_density(density, values)
    errors = (density.density.numpy() - truth) / density.stderr.numpy()
    assert np.abs(errors).max() < 5
    assert density.stderr.max() < 0.1 * truth.max()


@pytest.mark.usefixtures("unchecked")
def test_standard_error_is_the_scatter_over_seeds(operator_with):
    operator = operator_with(SPECTRA["even"])
    runs = [
        spectral_density(operator, 3, 5, seed, num_grid=9, width=0.8, limits=(-1, 2))
        for seed in range(NUM_RUNS)
    ]
    scatter = torch.stack([run.density for run in runs]).std(0)
    stated = torch.stack([run.stderr for run in runs]).square().mean(0).sqrt()
    torch.testing.assert_close(scatter, stated, rtol=0.2, atol=0)


def test_exhausted_krylov_space_is_exact_for_its_probe(operator_with):
    """Moments of one probe, vᵀAᵏv, come out to rounding whatever the degree."""
    values = np.linspace(-1, 2, 12)
    operator = operator_with(values)
    density = spectral_density(operator, num_probes=1, num_steps=80)
    assert density.num_products == 12
    torch.testing.assert_close(density.nodes, torch.as_tensor(values), rtol=0, atol=1e-10)
    probe = torch.randn(1, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64).T
    shares = (torch.linalg.eigh(operator.matrix).eigenvectors.T @ probe)[:, 0] ** 2
    torch.testing.assert_close(density.weights, shares / shares.sum(), rtol=1e-9, atol=1e-12)


def test_whole_mass_is_exact_and_quantiles_invert_it(operator_with):
    density = spectral_density(operator_with(SPECTRA["even"]), num_probes=4, num_steps=20)
    assert density.mass(-INF, INF).exact
    assert density.mass(-INF, INF) == 1
    for q in (0.1, 0.5, 0.9):
        point = density.quantile(q)
        assert density.mass(-INF, point - 0.005) < q <= density.mass(-INF, point) + 1e-9
        assert point.stderr > 0


def test_quantile_inside_a_gap_keeps_a_finite_error(operator_with):
    values = np.concatenate([np.full(50, -1.0), np.full(50, 1.0)])
    density = spectral_density(operator_with(values), width=0.01)
    assert math.isfinite(density.quantile(0.5).stderr)


@pytest.mark.parametrize(("value", "width"), [(0.0, 1 / 80), (3.0, 3 / 80), (-2.0, 2 / 80)])
def test_multiple_of_the_identity(operator_of, value, width):
    density = spectral_density(operator_of(value * torch.eye(50, dtype=torch.float64)))
    assert density.kernel.width == pytest.approx(width)
    assert density.quantile(0.5) == pytest.approx(value, abs=1e-9)
    assert density.stderr.max() < 1e-6 * density.density.max()


DOUBLES = [(torch.float64, scale) for scale in (1e-6, 1e-200, 1e200)]
SCALES = [*DOUBLES, (torch.float32, 1e-30), (torch.float32, 1e30)]


@pytest.mark.parametrize(
    ("deflate", "dtype", "scale"),
    [
        pytest.param(deflate, *scale, marks=() if (i + j) % 3 == 0 else pytest.mark.slow)
        for i, deflate in enumerate([0, 3, "converged"])
        for j, scale in enumerate(SCALES)
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_scaling_the_operator_scales_all(deflate, dtype, scale):
    """By a power of two near the scale, so that no entry is rounded anew."""
    scale = 2.0 ** round(math.log2(scale))
    values = torch.as_tensor(SPECTRA["loss Hessian"]).to(dtype)
    plain, scaled = (
        spectral_density(DiagonalOperator(factor * values), 2, 14, num_grid=20, deflate=deflate)
        for factor in (1.0, scale)
    )
    close = partial(torch.testing.assert_close, rtol=1e-3, atol=1e-3)
    for name in ("grid", "nodes"):
        close(getattr(scaled, name) / scale, getattr(plain, name))
    for name in ("density", "stderr"):
        close(getattr(scaled, name) * scale, getattr(plain, name))
    assert scaled.kernel.width / scale == pytest.approx(plain.kernel.width, rel=1e-3)
    assert scaled.mass(0.1 * scale, INF) == pytest.approx(plain.mass(0.1, INF), abs=1e-3)
    for bound, expected in zip(scaled.cdf_bounds(0.3 * scale), plain.cdf_bounds(0.3), strict=True):
        assert bound == pytest.approx(expected, abs=0.02)
    for end, expected in zip(
        scaled.quantile(0.4).interval(), plain.quantile(0.4).interval(), strict=True
    ):
        assert end / scale == pytest.approx(expected, abs=1e-2)


def test_float32_operator_gives_float64_results(operator_with):
    operator = operator_with(SPECTRA["even"], dtype=torch.float32)
    single = spectral_density(operator, 4, num_steps=20, width=0.2, limits=(-1, 2))
    assert single.density.dtype == torch.float64
    truth = exact_density(single, SPECTRA["even"])
    assert np.abs((single.density.numpy() - truth) / single.stderr.numpy()).max() < 5


def test_seeded_and_picklable(operator_with):
    operator = operator_with(SPECTRA["even"])
    before = torch.get_rng_state()
    first, again = (spectral_density(operator, 2, 10, seed=7) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.density, again.density)
    assert not torch.equal(first.weights, spectral_density(operator, 2, 10, seed=8).weights)
    for duplicate in (copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
        assert torch.equal(duplicate.density, first.density)


def test_kernel_is_a_gaussian():
    kernel, law = GaussianKernel(0.3), stats.norm(scale=0.3)
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    np.testing.assert_allclose(kernel(x).numpy(), law.pdf(x), rtol=1e-12)
    np.testing.assert_allclose(kernel.cumulative(x).numpy(), law.cdf(x), atol=1e-15)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_probes": 0}, "num_probes is 0"),
        ({"num_steps": 0}, "num_steps is 0"),
        ({"num_grid": 0}, "num_grid is 0"),
        ({"width": 0.0}, "width is 0.0"),
        ({"limits": (1.0, 0.0)}, "its numbers must be ascending"),
        ({"rtol": 0.0}, "rtol is 0.0"),
        ({"deflate": -1}, "deflate is"),
        ({"deflate": "all"}, "deflate is"),
    ],
)
def test_bad_arguments_are_refused(operator_with, arguments, message):
    with pytest.raises(ValueError, match=message):
        spectral_density(operator_with(np.arange(5.0)), **arguments)


@pytest.mark.parametrize("deflate", [0, 2, "converged"])
@pytest.mark.parametrize("storage", ["host", "disk"])
def test_krylov_bases_may_be_kept_elsewhere(operator_with, deflate, storage):
    operator = operator_with(SPECTRA["loss Hessian"])
    here, there = (
        spectral_density(operator, 2, 12, deflate=deflate, storage=place)
        for place in ("device", storage)
    )
    torch.testing.assert_close(there.density, here.density, rtol=1e-9, atol=1e-12)


def test_an_error_that_takes_endless_probes_is_refused(operator_with):
    operator = operator_with(SPECTRA["even"])
    with pytest.raises(ValueError, match=r"rtol is 1e-300, which takes about .* probes; at most"):
        spectral_density(operator, num_steps=5, rtol=1e-300)
    assert spectral_density(operator, 2, 5, rtol=1e-300).num_probes == 2


def test_eigenpairs_of_another_space_are_refused(operator_with):
    pairs = eigsh(operator_with(np.arange(6.0)), 2)
    with pytest.raises(ValueError, match="deflate has vectors of 6 entries"):
        spectral_density(operator_with(np.arange(5.0)), deflate=pairs)


def test_bad_questions_are_refused(operator_with):
    density = spectral_density(operator_with(np.arange(5.0)))
    with pytest.raises(ValueError, match="a must be at most b"):
        density.mass(1.0, 0.0)
    with pytest.raises(ValueError, match="q is"):
        density.quantile(1.0)
