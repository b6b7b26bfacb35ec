import torch
from torch import nn
from torch.nn.functional import cross_entropy

from landscope.training.evaluation import loss_and_accuracy


def test_many_batches_give_what_one_gives_and_the_mode_is_kept():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2300, 4, generator=generator)
    targets = torch.randint(0, 4, (2300,), generator=generator)
    model = nn.Sequential(nn.Dropout(0.5), nn.Identity()).train()
    loss, accuracy = loss_and_accuracy(model, inputs, targets)
    assert abs(loss - float(cross_entropy(inputs.double(), targets))) < 1e-12
    assert accuracy == float((inputs.argmax(1) == targets).double().mean())
    assert model.training
