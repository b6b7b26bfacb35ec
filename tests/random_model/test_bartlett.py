import numpy as np
import pytest
import scipy.stats

from landscope.random_model.bartlett import isotropic_rows


def explicit_rows(n, dim, rng):
    return rng.standard_normal((n, dim)) / np.sqrt(dim)


@pytest.mark.parametrize(("n", "dim"), [(6, 6), (6, 7), (6, 40)])
def test_inner_products_have_the_law_of_explicit_rows(n, dim):
    rng = np.random.default_rng(0)
    draws = {
        make: np.array([(rows := make(n, dim, rng)) @ rows.T for _ in range(2000)])
        for make in (isotropic_rows, explicit_rows)
    }
    for i, j in [(0, 0), (5, 5), (0, 1), (2, 5)]:
        ours, theirs = (grams[:, i, j] for grams in draws.values())
        assert scipy.stats.ks_2samp(ours, theirs).pvalue > 1e-3
    ours, theirs = (np.linalg.slogdet(grams + 1e-3 * np.eye(n))[1] for grams in draws.values())
    assert scipy.stats.ks_2samp(ours, theirs).pvalue > 1e-3


def test_direct_rows_where_the_dimension_is_smaller():
    assert isotropic_rows(5, 4, np.random.default_rng(0)).shape == (5, 4)
    rows = isotropic_rows(5, 5, np.random.default_rng(0))
    assert np.array_equal(rows, np.tril(rows))


@pytest.mark.parametrize("dim", [10**12, 10**40, 1e200])
def test_entries_are_isotropic_at_any_dimension(dim):
    rows = isotropic_rows(50, dim, np.random.default_rng(0))
    below = rows[np.tril_indices(50, -1)] * np.sqrt(float(dim))
    assert below.var() == pytest.approx(1, rel=0.15)
    assert rows @ rows.T == pytest.approx(np.eye(50), abs=1e-5)
