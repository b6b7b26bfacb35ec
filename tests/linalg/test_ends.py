import pytest
import torch

from landscope.linalg.ends import Margins, by_preference, margins

INFINITE = float("inf")


@pytest.mark.parametrize(
    ("which", "order"),
    [
        ("LA", [4.0, 2.0, 1.0, -3.0, -5.0]),
        ("SA", [-5.0, -3.0, 1.0, 2.0, 4.0]),
        ("LM", [-5.0, 4.0, -3.0, 2.0, 1.0]),
        ("BE", [4.0, -5.0, 2.0, -3.0, 1.0]),
    ],
)
def test_order_of_preference(which, order):
    values = torch.tensor([1.0, -3.0, 4.0, -5.0, 2.0], dtype=torch.float64)
    assert values[by_preference(values, which)].tolist() == order


def test_margin_lies_just_inside_the_last_clear_outlier():
    spectrum = torch.cat([torch.tensor([10.0, 9.0]), torch.linspace(0, 1, 50)]).double()
    found = margins(spectrum, 3, "LA", 1e-6)
    assert found.low == -INFINITE
    assert 8 < found.high < 9
    assert found.points == [found.high]
    assert found.beyond(spectrum).sum() == 2


def test_margin_without_outliers_lies_at_the_middle_wanted_value():
    spectrum = torch.linspace(0, 1, 50).double()
    found = margins(spectrum, 5, "LA", 1e-6)
    assert found.beyond(spectrum).sum() == 3


def test_no_margin_where_a_copy_would_change_nothing():
    assert margins(torch.ones(5).double(), 3, "LA", 1e-6).points == []
    assert margins(torch.linspace(0, 1, 50).double(), 1, "LA", 1e-6).points == []


def test_margins_at_both_ends():
    values = torch.cat([torch.tensor([-8.0, -8.5]), torch.linspace(0, 1, 50)]).double()
    assert margins(values, 3, "SA", 1e-6) == Margins(margins(values, 6, "BE", 1e-6).low, INFINITE)
    largest = margins(values, 3, "LM", 1e-6)
    assert largest.low == -largest.high
    assert largest.beyond(values).sum() == 2
