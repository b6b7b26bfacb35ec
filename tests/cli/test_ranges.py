import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscope.cli.ranges import numbers


@given(st.floats(0.01, 10), st.floats(0.01, 10), st.integers(2, 50))
def test_a_range_is_that_of_numpy(start, stop, count):
    if start == stop:
        return
    text = f"{start!r}:{stop!r}:{count}"
    expected = np.geomspace(start, stop, count)
    np.testing.assert_allclose(numbers("x", f"{text}:log"), list(dict.fromkeys(expected)))
    assert numbers("x", text) == list(dict.fromkeys(np.linspace(start, stop, count)))


def test_numbers_and_lists_are_read_as_they_stand():
    assert numbers("x", "1e12") == [1e12]
    assert numbers("x", "1,2.5, 4") == [1.0, 2.5, 4.0]
    assert numbers("x", "1:3:5", whole=True) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "1:2",
        "1:2:3:4:5",
        "1:2:1",
        "0:2:4:log",
        "1:2:3:cubic",
        "1,,2",
        "nan",
        "1:1:4",
        "1:2:10001",
        "1:inf:3",
    ],
)
def test_anything_else_is_refused_in_one_sentence(text):
    with pytest.raises(ValueError, match=r"sigma_z is .* it must be a number, a list 1,2,5, or a"):
        numbers("sigma_z", text)


@pytest.mark.parametrize("text", ["0.5", "2,2.5", "0.5:10:3", "1:10.5:3:log"])
def test_what_must_be_whole_numbers_is_no_fraction(text):
    with pytest.raises(ValueError, match=r"dims is .*\.5; it must be a whole number"):
        numbers("dims", text, whole=True)
