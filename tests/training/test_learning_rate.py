import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, MultiStepLR

from landscope.training.learning_rate import learning_rate


def by_torch(make_scheduler, num_steps):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = make_scheduler(optimizer)
    rates = []
    for _ in range(num_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("decay", "make_scheduler"),
    [
        ("constant", lambda optimizer: LambdaLR(optimizer, lambda step: 1.0)),
        ("cosine", lambda optimizer: CosineAnnealingLR(optimizer, T_max=40)),
        ("step", lambda optimizer: MultiStepLR(optimizer, milestones=[20, 30], gamma=0.1)),
    ],
)
def test_each_decay_agrees_with_torch(decay, make_scheduler):
    ours = [learning_rate(step, 40, 0.3, decay) for step in range(40)]
    assert ours == pytest.approx(by_torch(make_scheduler, 40), rel=1e-9)


@pytest.mark.parametrize("decay", ["constant", "cosine", "step"])
def test_warmup_rises_linearly_to_the_peak_and_then_decays_over_the_rest(decay):
    rates = [learning_rate(step, 25, 1.0, decay, warmup_steps=5) for step in range(25)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5:] == pytest.approx([learning_rate(step, 20, 1.0, decay) for step in range(20)])


def test_an_unknown_decay_is_refused():
    with pytest.raises(ValueError, match="decay is 'linear'"):
        learning_rate(0, 10, 1.0, "linear")
