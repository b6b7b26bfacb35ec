import pytest
import torch

from landscope.linalg.ends import by_preference, steps_to_notice


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


def test_clear_outliers_need_few_steps_and_equal_values_none():
    spectrum = torch.cat([torch.tensor([10.0, 9.0]), torch.linspace(0, 1, 50)]).double()
    far = steps_to_notice(spectrum, 3, "LA", 10_000, 1e-6)
    near = steps_to_notice(torch.linspace(0, 1, 50).double(), 3, "LA", 10_000, 1e-6)
    assert 1 <= far < 6 < near
    assert steps_to_notice(torch.ones(5).double(), 3, "LA", 10_000, 1e-6) == 0
    assert steps_to_notice(spectrum, 1, "LA", 10_000, 1e-6) == 0


def test_both_ends_are_looked_at():
    values = torch.cat([torch.tensor([-8.0, -8.5]), torch.linspace(0, 1, 50)]).double()
    alone = steps_to_notice(values, 3, "SA", 100, 1e-6)
    assert steps_to_notice(values, 6, "BE", 100, 1e-6) >= alone > 0
    assert steps_to_notice(values, 3, "LM", 100, 1e-6) > 0
