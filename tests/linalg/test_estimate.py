import copy
import json
import math
import pickle

import pytest
from scipy import stats

from landscope.linalg import Estimate


def test_is_a_float_with_an_error():
    estimate = Estimate(3.5, stderr=0.25, dof=7, num_products=12)
    assert estimate + 1 == 4.5
    assert estimate.value == 3.5
    assert type(estimate.value) is float
    assert (estimate.stderr, estimate.dof, estimate.num_products) == (0.25, 7.0, 12)
    assert not estimate.exact
    assert json.loads(json.dumps({"trace": estimate})) == {"trace": 3.5}


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("dof", [3, 40, math.inf])
def test_interval_is_students(level, dof):
    low, high = Estimate(1.0, stderr=2.0, dof=dof).interval(level)
    law = stats.norm if math.isinf(dof) else stats.t(dof)
    assert law.cdf((high - 1) / 2) - law.cdf((low - 1) / 2) == pytest.approx(level)
    assert (low + high) / 2 == pytest.approx(1.0)


def test_exact_value_has_a_point_interval():
    estimate = Estimate(2.0)
    assert estimate.exact
    assert estimate.interval() == (2.0, 2.0)


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
)
def test_copies_keep_the_error(duplicate):
    estimate = duplicate(Estimate(1.0, stderr=0.5, dof=4, num_products=3))
    assert isinstance(estimate, Estimate)
    assert (float(estimate), estimate.stderr, estimate.dof, estimate.num_products) == (1, 0.5, 4, 3)


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(3.2071, 0.0412), "Estimate(3.207 ± 0.041)"),
        (Estimate(3.2071), "Estimate(3.2071, exact)"),
        (Estimate(0.0, 0.3), "Estimate(0.00 ± 0.30)"),
        (Estimate(152.3, 21.0), "Estimate(152 ± 21)"),
        (Estimate(1.234e-9, 4e-11), "Estimate((1.234 ± 0.040)e-09)"),
        (Estimate(52.31, 9.96), "Estimate(52 ± 10)"),
        (Estimate(0.5, 0.0996), "Estimate(0.50 ± 0.10)"),
        (Estimate(123456.0, 4321.0), "Estimate(123500 ± 4300)"),
        (Estimate(1e200, 3e184), "Estimate(1e+200 ± 3.0e+184)"),
        (Estimate(math.nan, 1.0), "Estimate(nan ± 1)"),
    ],
)
def test_repr_shows_the_digits_that_count(estimate, text):
    assert repr(estimate) == text
    assert f"{estimate}" == text


@pytest.mark.parametrize("arguments", [{"stderr": -1.0}, {"dof": 0}])
def test_refuses_impossible_errors(arguments):
    with pytest.raises(ValueError, match="must be"):
        Estimate(1.0, **arguments)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_refuses_impossible_levels(level):
    with pytest.raises(ValueError, match="level"):
        Estimate(1.0, 0.1).interval(level)
