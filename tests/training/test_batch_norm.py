import pytest
import torch
from torch import nn

from landscope.training.batch_norm import calibrated, has_empty_statistics


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(3, 4),
            nn.BatchNorm1d(4, momentum=0.3),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(4, 5),
            nn.BatchNorm1d(5),
        )


@pytest.fixture
def inputs():
    return torch.randn(12, 3, generator=torch.Generator().manual_seed(1))


def test_one_batch_gives_its_own_statistics_layer_by_layer(model, inputs):
    copy = calibrated(model, [(inputs, torch.zeros(12))])
    first = model[0](inputs)
    torch.testing.assert_close(copy[1].running_mean, first.mean(0))
    torch.testing.assert_close(copy[1].running_var, first.var(0))
    normalised = (first - first.mean(0)) / (first.var(0, unbiased=False) + 1e-5).sqrt()
    second = model[4](normalised.relu())  # dropout is off
    torch.testing.assert_close(copy[5].running_mean, second.mean(0))
    torch.testing.assert_close(copy[5].running_var, second.var(0))


def test_several_batches_give_the_average_of_their_statistics(model, inputs):
    copy = calibrated(model, [(half, torch.zeros(6)) for half in inputs.split(6)])
    means = [model[0](half).mean(0) for half in inputs.split(6)]
    torch.testing.assert_close(copy[1].running_mean, (means[0] + means[1]) / 2)


@pytest.mark.parametrize("mode", [True, False])
def test_the_model_is_not_touched_and_the_copy_keeps_modes_and_momenta(model, inputs, mode):
    model.train(mode)
    model[3].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    copy = calibrated(model, [(inputs, torch.zeros(12))])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(random_state, torch.get_rng_state())
    assert [m.training for m in copy.modules()] == [m.training for m in model.modules()]
    assert (copy[1].momentum, copy[5].momentum) == (0.3, 0.1)
    assert has_empty_statistics(model)
    assert not has_empty_statistics(copy)


def test_statistics_that_are_not_empty_are_kept(model, inputs):
    once = calibrated(model, [(inputs, torch.zeros(12))])
    twice = calibrated(once, [(inputs + 5, torch.zeros(12))])
    torch.testing.assert_close(twice.state_dict(), once.state_dict(), rtol=0, atol=0)


def test_networks_without_batch_norm_have_nothing_to_calibrate(inputs):
    assert not has_empty_statistics(nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)))
    assert not has_empty_statistics(nn.BatchNorm1d(3, track_running_stats=False))
