"""The paper's clustering on Fashion-MNIST, before and after 600 steps, against brute force."""

import pytest
import torch
from torch.nn import functional

import landscope as ls
from landscope.zoo import SmallCNN, load_dataset
from tests.reference.clustering import Clustering
from tests.reference.dense import rows_of_jacobian


def train(model, inputs, targets, steps=600, batch_size=16):
    """Plain SGD: batches of 16, learning rate 0.02, momentum 0.9."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        batch = torch.randint(len(inputs), (batch_size,), generator=generator)
        optimizer.zero_grad()
        functional.cross_entropy(model(inputs[batch]), targets[batch]).backward()
        optimizer.step()


def jacobian(model, inputs):
    """J_k^μ explicitly, one backward pass for each example and logit, (N, C, D)."""
    parameters = list(model.parameters())
    examples = []
    for x in inputs:
        rows = []
        for logit in model(x[None])[0]:
            gradients = torch.autograd.grad(logit, parameters, retain_graph=True)
            rows.append(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        examples.append(torch.stack(rows))
    return torch.stack(examples)


@pytest.mark.slow
def test_the_paper_s_ordering(landscope_data):
    data = load_dataset("fashion_mnist", data_root=landscope_data, download=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = SmallCNN((1, 28, 28), num_classes=10)
    inputs, targets = data.train_inputs[:200], data.train_targets[:200]

    for stage in ("start", "end"):
        if stage == "end":
            train(model, data.train_inputs, data.train_targets)
        measured = ls.logit_clustering(ls.Problem(model, (inputs, targets)))
        assert measured.q_slsc > measured.q_sl > 0.1, stage
        assert abs(measured.q_dl) < 0.05, stage

        brute = Clustering(jacobian(model, inputs), targets)
        for name in ("q_slsc", "q_sl", "q_dl", "q_dl_abs"):
            expected = getattr(brute, name)()
            assert getattr(measured, name) == pytest.approx(expected, abs=1e-5), (stage, name)


def test_rows_of_jacobian_is_that_loop():
    # The brute force of this file against the one of the references, on a network of a few weights.
    model = torch.nn.Linear(3, 2)
    x = torch.randn(1, 3, generator=torch.Generator().manual_seed(0))
    weights = torch.cat([p.detach().reshape(-1) for p in model.parameters()]).requires_grad_()
    logits = x @ weights[:6].view(2, 3).T + weights[6:]
    assert torch.equal(jacobian(model, x)[0], rows_of_jacobian(logits, weights))
