import numpy as np
import pytest

from landscope.random_model.resolvent_sums import resolvent_sums


@pytest.mark.parametrize("unit", [1e-100, 1.0, 1e120])
def test_sums_are_those_of_complex_quotients(unit):
    rng = np.random.default_rng(0)
    w = rng.random(50) ** 4
    z = 10.0 ** rng.uniform(-2, 2, 20) * np.exp(1j * rng.uniform(0.01, 3.13, 20))
    terms = w / (1 + z[:, None] * w)
    first, second = resolvent_sums(z / unit, unit * w)
    np.testing.assert_allclose(first / unit, terms.sum(1), rtol=1e-9)
    np.testing.assert_allclose(second / unit / unit, np.square(terms).sum(1), rtol=1e-9)
