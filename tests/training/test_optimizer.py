import pytest
import torch
from torch import nn

from landscope.training.config import TrainConfig
from landscope.training.optimizer import load_optimizer_state, make_optimizer, optimizer_state


def descend(model, optimizer, steps):
    inputs = torch.linspace(-1, 1, 12).reshape(4, 3)
    for _ in range(steps):
        optimizer.zero_grad()
        model(inputs).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize(
    "choices",
    [
        {"optimizer": "sgd", "momentum": 0.9},
        {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.1},
        {"optimizer": "adam"},
    ],
)
def test_going_on_from_a_stored_state_is_bit_identical(choices):
    config = TrainConfig(learning_rate=0.01, **choices)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer = make_optimizer(config, model.parameters())
    descend(model, optimizer, 3)
    tensors, rest = optimizer_state(optimizer)
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    other.load_state_dict(model.state_dict())
    resumed = make_optimizer(config, other.parameters())
    load_optimizer_state(resumed, tensors, rest)
    descend(model, optimizer, 3)
    descend(other, resumed, 3)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
