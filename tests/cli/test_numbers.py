import pytest

from landscope.cli.numbers import with_error, with_error_in_brackets


@pytest.mark.parametrize(
    ("value", "stderr", "expected"),
    [
        (3.14159, 0.0, "3.142"),
        (3.14159, float("nan"), "3.142"),
        (3.14159, 0.021, "3.142 ± 0.021"),
        (-0.00123456, 0.00099, "-0.00123 ± 0.00099"),
        (1.5e12, 3e10, "(1.500 ± 0.030)e+12"),
        (2e-12, 1e-13, "(2.00 ± 0.10)e-12"),
        (52.0, 13.0, "52 ± 13"),
        (52.3, 9.96, "52 ± 10"),
        (12345.6, 780.0, "12350 ± 780"),
        (float("nan"), 0.0, "–"),
    ],
)
def test_digits_follow_the_error(value, stderr, expected):
    assert with_error(value, stderr) == expected


@pytest.mark.parametrize(
    ("value", "stderr", "expected"),
    [
        (3.14159, 0.0, "3.142"),
        (3.14159, 0.021, "3.14(2)"),
        (-0.00123456, 0.00031, "-0.0012(3)"),
        (1234.5, 32.0, "1234(32)"),
        (2e-12, 1e-13, "2e-12"),
        (float("nan"), 0.1, "–"),
    ],
)
def test_brackets_hold_the_error_of_the_last_digit(value, stderr, expected):
    assert with_error_in_brackets(value, stderr) == expected
