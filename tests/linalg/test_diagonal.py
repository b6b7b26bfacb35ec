import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from landscope.linalg import diagonal

from .conftest import plausible_coverage

DIM = 70
SPECTRA = {
    "loss Hessian": np.concatenate(
        [np.geomspace(10, 2, 6), 0.1 * np.random.default_rng(0).standard_normal(DIM - 6)]
    ),
    "heavy tail": 1 / np.arange(1.0, DIM + 1),
    "Wigner": 2 * np.cos(np.pi * (np.arange(DIM) + 0.5) / DIM),
}


@pytest.mark.parametrize("num_runs", [100, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.usefixtures("unchecked")
def test_intervals_cover_each_entry_and_errors_are_the_scatter(operator_with, spectrum, num_runs):
    operator = operator_with(SPECTRA[spectrum])
    truth = operator.matrix.diagonal()
    runs = [diagonal(operator, 30, seed) for seed in range(num_runs)]
    ends = [run.interval() for run in runs]
    inside = torch.stack([(low <= truth) & (truth <= high) for low, high in ends]).double().mean(0)
    assert 0.93 <= inside.mean() <= 0.97
    least, largest = plausible_coverage(DIM, num_runs)
    assert least <= inside.min()
    assert inside.max() <= largest
    values = torch.stack([run.values for run in runs])
    stated = torch.stack([run.stderr for run in runs]).square().mean(0).sqrt()
    torch.testing.assert_close(values.std(0), stated, rtol=3.5 / math.sqrt(num_runs), atol=0)
    assert ((values.mean(0) - truth).abs() < 4.5 * stated / math.sqrt(num_runs)).all()


def test_sketch_takes_the_outliers_out_of_the_error(operator_with):
    """Without it the variance of an entry is the squared length of its row but for itself."""
    operator = operator_with(SPECTRA["loss Hessian"])
    rows = operator.matrix.square().sum(1) - operator.matrix.diagonal() ** 2
    assert (diagonal(operator, 30).stderr.square().mean() < 0.1 * rows.mean() / 30).all()


@pytest.mark.parametrize("dim", [1, 2, 20])
def test_exact_where_the_probes_span_the_space(operator_with, dim):
    operator = operator_with(np.linspace(-1, 2, dim))
    found = diagonal(operator, num_probes=20)
    torch.testing.assert_close(found.values, operator.matrix.diagonal(), rtol=1e-13, atol=1e-14)
    assert found.stderr.abs().max() == 0
    assert found.num_products == operator.num_products == dim
    assert torch.equal(found.interval()[0], found.values)


@pytest.mark.parametrize("num_probes", [2, 3, 8, 30])
def test_spends_what_it_was_given(operator_with, num_probes):
    operator = operator_with(SPECTRA["heavy tail"])
    assert diagonal(operator, num_probes).num_products == operator.num_products == num_probes


@pytest.mark.parametrize("values", [np.zeros(60), [5.0] + 59 * [0.0], [7.0, 3.0] + 58 * [0.0]])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_low_rank_is_found_to_rounding(operator_with, values, dtype):
    operator = operator_with(values, dtype=dtype)
    found = diagonal(operator)
    assert found.values.dtype == dtype
    tolerance = 1e3 * torch.finfo(dtype).eps
    torch.testing.assert_close(
        found.values, operator.matrix.diagonal(), rtol=0, atol=10 * tolerance
    )
    assert found.stderr.max() <= 10 * tolerance


@given(scale=st.floats(-1e3, 1e3).filter(lambda c: abs(c) > 1e-3), seed=st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_scaling_scales_values_and_errors(scale, seed):
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(40, 40, generator=generator, dtype=torch.float64)
    matrix = matrix + matrix.T
    plain, scaled = diagonal(matrix, 12, seed), diagonal(scale * matrix, 12, seed)
    torch.testing.assert_close(scaled.values, scale * plain.values, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(scaled.stderr, abs(scale) * plain.stderr, rtol=1e-6, atol=1e-9)


def test_seeded(operator_with):
    operator = operator_with(SPECTRA["heavy tail"])
    before = torch.get_rng_state()
    first, again, other = (diagonal(operator, seed=seed).values for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_bad_arguments_are_refused(operator_with):
    with pytest.raises(ValueError, match=r"num_probes is 1; it must be .* at least 2"):
        diagonal(operator_with([1.0, 2.0]), num_probes=1)
    with pytest.raises(ValueError, match="level"):
        diagonal(operator_with([1.0, 2.0])).interval(95.0)
