import numpy as np
import pytest
import torch

from landscope.linalg import frobenius_norm, trace

NUM_RUNS = 200
DIM = 90

SPECTRA = {
    "loss Hessian": np.concatenate(
        [np.geomspace(10, 2, 9), 0.1 * np.random.default_rng(0).standard_normal(DIM - 9)]
    ),
    "heavy tail": 1 / np.arange(1.0, DIM + 1),
    "Wigner": 2 * np.cos(np.pi * (np.arange(DIM) + 0.5) / DIM),
}


def truth_of(estimator, operator):
    return (operator.matrix.trace() if estimator is trace else operator.matrix.norm()).item()


@pytest.mark.parametrize("estimator", [trace, frobenius_norm])
@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.usefixtures("without_shape_checks")
def test_interval_covers_the_truth_as_often_as_it_says(operator_with, estimator, spectrum):
    operator = operator_with(SPECTRA[spectrum])
    truth = truth_of(estimator, operator)
    intervals = [estimator(operator, num_probes=30, seed=s).interval() for s in range(NUM_RUNS)]
    coverage = np.mean([low <= truth <= high for low, high in intervals])
    assert 0.90 <= coverage <= 0.99


@pytest.mark.parametrize("estimator", [trace, frobenius_norm])
@pytest.mark.usefixtures("without_shape_checks")
def test_standard_error_is_the_scatter_over_seeds(operator_with, estimator):
    operator = operator_with(SPECTRA["loss Hessian"])
    estimates = [estimator(operator, num_probes=30, seed=seed) for seed in range(NUM_RUNS)]
    scatter = np.std([float(estimate) for estimate in estimates])
    stated = np.sqrt(np.mean([estimate.stderr**2 for estimate in estimates]))
    assert scatter == pytest.approx(stated, rel=0.2)
    mean = np.mean([float(estimate) for estimate in estimates])
    assert abs(mean - truth_of(estimator, operator)) < 4 * scatter / np.sqrt(NUM_RUNS)


@pytest.mark.parametrize("estimator", [trace, frobenius_norm])
@pytest.mark.parametrize("dim", [1, 2, 20])
def test_exact_where_the_probes_span_the_space(operator_with, estimator, dim):
    operator = operator_with(np.linspace(-1, 2, dim))
    estimate = estimator(operator, num_probes=20)
    assert estimate.exact
    assert estimate == pytest.approx(truth_of(estimator, operator), rel=1e-13)
    assert estimate.num_products == operator.num_products == dim


@pytest.mark.parametrize("estimator", [trace, frobenius_norm])
@pytest.mark.parametrize("num_probes", [2, 3, 8, 30])
def test_spends_what_it_was_given(operator_with, estimator, num_probes):
    operator = operator_with(SPECTRA["heavy tail"])
    estimate = estimator(operator, num_probes=num_probes)
    assert estimate.num_products == operator.num_products == num_probes
    assert estimate.stderr > 0


@pytest.mark.parametrize("estimator", [trace, frobenius_norm])
def test_low_rank_and_multiples_of_the_identity_are_found_to_rounding(operator_with, estimator):
    for values in (np.concatenate([[7.0, 3.0], np.zeros(98)]), np.full(100, 3.0)):
        operator = operator_with(values)
        estimate = estimator(operator)
        assert estimate == pytest.approx(truth_of(estimator, operator), rel=1e-12)
        assert estimate.stderr < 1e-5


@pytest.mark.parametrize("estimator", [trace, frobenius_norm])
def test_zero_operator(operator_of, estimator):
    estimate = estimator(operator_of(torch.zeros(100, 100)))
    assert estimate == 0
    assert estimate.exact


@pytest.mark.parametrize("estimator", [trace, frobenius_norm])
def test_float32_agrees_with_float64(operator_with, estimator):
    single = operator_with(SPECTRA["loss Hessian"], dtype=torch.float32)
    low, high = estimator(single).interval(0.999)
    assert low < truth_of(estimator, single) < high


@pytest.mark.parametrize("estimator", [trace, frobenius_norm])
def test_seeded(operator_with, estimator):
    operator = operator_with(SPECTRA["heavy tail"])
    before = torch.get_rng_state()
    assert estimator(operator, seed=1) == estimator(operator, seed=1)
    assert estimator(operator, seed=1) != estimator(operator, seed=2)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("estimator", [trace, frobenius_norm])
def test_refuses_too_few_probes(operator_with, estimator):
    with pytest.raises(ValueError, match="num_probes must be at least 2, got 1"):
        estimator(operator_with([1.0, 2.0]), num_probes=1)
