import random

import numpy as np
import pytest
import torch

from landscope.training.random_state import preserved_random_state


def draw():
    return random.random(), np.random.rand(), float(torch.rand(()))  # noqa: NPY002


@pytest.mark.parametrize("fails", [False, True])
def test_global_random_states_go_on_as_if_nothing_had_been_drawn(fails):
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    expected = [draw(), draw()]
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    first = draw()
    try:
        with preserved_random_state():
            draw()
            torch.manual_seed(5)
            if fails:
                raise KeyError
    except KeyError:
        pass
    assert [first, draw()] == expected
