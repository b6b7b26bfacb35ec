import pytest
import torch
from torch.nn.functional import cross_entropy

from landscope.training.config import TrainConfig
from landscope.training.descent import Descent
from landscope.training.minibatches import Minibatches
from landscope.zoo import load_dataset, make_network

CONFIG = TrainConfig(
    width=0.25,
    steps=10,
    batch_size=16,
    learning_rate=0.1,
    momentum=0.5,
    weight_decay=0.01,
    schedule="cosine",
    normalization="batch",
)


@pytest.fixture(scope="module")
def data():
    return load_dataset("digits", max_examples=50, max_test_examples=30)


def network():
    return make_network("small_cnn", (1, 8, 8), 10, width=0.25, normalization="batch", seed=4)


def test_updates_follow_the_formula_of_momentum(data):
    """v ← βv + ∇L + λW; W ← W − ηv (Sutskever et al. 2013, as torch writes it)."""
    model = network()
    descent = Descent(network(), data, CONFIG)
    batches = Minibatches(50, 16, seed=0)
    velocity = [torch.zeros_like(p) for p in model.parameters()]
    for step in range(3):
        indices = batches.indices(step)
        loss = cross_entropy(model(data.train_inputs[indices]), data.train_targets[indices])
        gradient = torch.autograd.grad(loss, list(model.parameters()))
        assert descent.batch_loss(step) == pytest.approx(float(loss.detach()), rel=1e-6)
        with torch.no_grad():
            for p, g, v in zip(model.parameters(), gradient, velocity, strict=True):
                v.mul_(0.5).add_(g + 0.01 * p)
                p.sub_(descent.learning_rate(step) * v)
        descent.update(step)
    for ours, theirs in zip(descent.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_looking_at_scalars_changes_nothing(data):
    descent = Descent(network(), data, CONFIG)
    descent.update(0)
    before = {name: value.clone() for name, value in descent.state()[0].items()}
    random_state = torch.get_rng_state()
    descent.scalars(1)
    assert all(torch.equal(value, before[name]) for name, value in descent.state()[0].items())
    assert descent.model.training
    assert torch.equal(random_state, torch.get_rng_state())


def test_the_last_learning_rate_recorded_is_that_of_the_last_update(data):
    descent = Descent(network(), data, CONFIG)
    assert descent.learning_rate(10) == descent.learning_rate(9) > 0
