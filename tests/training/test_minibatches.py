import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from landscope.training.minibatches import Minibatches


@given(st.integers(1, 50), st.integers(1, 60), st.integers(0, 100))
def test_an_epoch_visits_examples_once_in_full_batches(num_examples, batch_size, seed):
    batches = Minibatches(num_examples, batch_size, seed)
    size = min(batch_size, num_examples)
    per_epoch = num_examples // size
    for epoch in range(2):
        steps = range(epoch * per_epoch, (epoch + 1) * per_epoch)
        seen = torch.cat([batches.indices(step) for step in steps]).numpy()
        assert len(seen) == len(np.unique(seen)) == per_epoch * size
        assert seen.min() >= 0
        assert seen.max() < num_examples


def test_a_batch_depends_on_seed_and_step_alone():
    in_order = Minibatches(20, 6, seed=3)
    all_steps = [in_order.indices(step) for step in range(12)]
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    jumping = Minibatches(20, 6, seed=3)
    for step in (11, 0, 7, 3):
        assert torch.equal(jumping.indices(step), all_steps[step])


def test_epochs_and_seeds_differ_in_order():
    one, other = Minibatches(50, 50, seed=0), Minibatches(50, 50, seed=1)
    assert not torch.equal(one.indices(0), one.indices(1))
    assert not torch.equal(one.indices(0), other.indices(0))
