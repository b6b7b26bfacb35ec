"""Intervals of a number of eigenvalues, for probes whose shares are drawn from their exact law."""

import numpy as np
import pytest

from landscope.linalg.probe_shares import ProbeShares

NUM_RUNS = 2000
DIM = 80


def coverage_of(count, num_probes, num_known=0, level=0.95):
    """How often the interval holds k of D eigenvalues, some of which the probes know."""
    dim, left = DIM - num_known, count - num_known
    rng = np.random.default_rng(count)
    drawn = rng.beta(left / 2, (dim - left) / 2, (NUM_RUNS, num_probes)).mean(1)
    shares = ProbeShares(np.full(num_probes, float(dim)), DIM)
    known = np.full((num_probes, NUM_RUNS), float(num_known))
    seen, tail = num_known + dim * drawn, (1 - level) / 2
    least, most = shares.fewest(seen, known, tail), shares.most(seen, known, tail)
    return np.mean((least <= count) & (count <= most))


@pytest.mark.parametrize("num_probes", [1, 2, 4, 8])
@pytest.mark.parametrize("count", [1, 2, 5, 40, 75, 79])
def test_intervals_cover_the_number_as_often_as_they_say(count, num_probes):
    """A share of k of D eigenvalues in one probe is Beta(k/2, (D − k)/2): the law is exact."""
    assert 0.93 <= coverage_of(count, num_probes) <= 0.97


@pytest.mark.parametrize("num_probes", [1, 4])
def test_known_eigenvalues_are_no_matter_of_chance(num_probes):
    assert 0.93 <= coverage_of(10, num_probes, num_known=4) <= 0.97


@pytest.mark.parametrize("num_probes", [1, 4])
def test_no_and_all_eigenvalues_are_certain(num_probes):
    shares = ProbeShares(np.full(num_probes, float(DIM)), DIM)
    seen, known = np.array([0.0, DIM]), np.zeros((num_probes, 2))
    assert shares.most(seen, known, 0.025).tolist() == [0, DIM]
    assert shares.fewest(seen, known, 0.025).tolist() == [0, DIM]
