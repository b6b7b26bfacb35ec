"""A short seed of the campaign on models of `make torture`."""

import pytest
import torture.models
from torture.model_cases import every_model
from torture.page import ENDS, NEEDLESS

NAMES = [
    "1 - x", "tolist", "tokens: Embedding padded", "image: MaxPool2d overlapping",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("unchecked")
def test_products_are_right_or_refused_by_every_method(monkeypatch, name):
    monkeypatch.setattr(torture.models, "METHODS", ["auto", "forward_over_reverse"])
    ended = torture.models.judge(dict(every_model())[name], ["ragged"])
    assert ended.keys() <= {*ENDS, NEEDLESS}
    assert (ended["right"] == 12) == (name != "tolist")
