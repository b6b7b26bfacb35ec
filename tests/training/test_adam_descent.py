"""Mini-batch training of a problem, against a loop of plain torch."""

import math

import pytest
import torch
from torch import nn

import landscope as ls
from landscope.problem import NonFiniteError
from landscope.training.adam_descent import _mean_gradient
from landscope.training.learning_rate import learning_rate


def made_problem(num_examples=24, **choices):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    x = torch.randn(num_examples, 5, dtype=torch.float64)
    return net, ls.Problem(net, (x, torch.arange(num_examples) % 3), **choices)


def test_training_all_weights_on_one_batch_is_that_of_torch():
    net, problem = made_problem(weight_decay=0.1)
    descent = ls.AdamDescent(steps=5, batch_size=24)
    found = descent.in_full(problem)
    optimizer = torch.optim.Adam(net.parameters(), lr=descent.full_step_size)
    x, y = problem.batches[0].data
    for step in range(5):
        optimizer.param_groups[0]["lr"] = learning_rate(step, 5, 0.002, "cosine")
        optimizer.zero_grad()
        ridge = sum(p.square().sum() for p in net.parameters())
        (nn.functional.cross_entropy(net(x), y) + 0.05 * ridge).backward()
        optimizer.step()
    expected = torch.cat([p.detach().flatten() for p in net.parameters()])
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def test_training_in_a_hyperplane_is_that_of_its_model():
    _, problem = made_problem()
    hyperplane = ls.AffineHyperplane(problem, 4, seed=3)
    descent = ls.AdamDescent(steps=5, batch_size=24, step_size=0.02)
    found = descent.in_hyperplane(hyperplane)
    model = hyperplane.model()
    rate = 0.02 * math.sqrt(problem.num_params / 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    x, y = problem.batches[0].data
    for step in range(5):
        optimizer.param_groups[0]["lr"] = learning_rate(step, 5, rate, "cosine")
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    torch.testing.assert_close(found, hyperplane.point(model.theta.detach()), rtol=1e-8, atol=1e-9)
    # It has left the origin, and stays in the hyperplane.
    moved = found - problem.parameters_vector()
    assert moved.norm() > 0.1
    inside = hyperplane.basis @ (hyperplane.basis.T @ moved)
    torch.testing.assert_close(inside, moved, rtol=1e-10, atol=1e-10)


def test_an_epoch_sees_each_example_once_whatever_the_batches():
    net, problem = made_problem()
    cut = ls.Problem(net, problem.batches[0].data, batch_size=7)
    batches = ls.AdamDescent(batch_size=5)._batches(problem, seed=1)
    epoch = [next(batches) for _ in range(5)]
    assert [batch.num_rows for batch in epoch] == [5, 5, 5, 5, 4]
    rows = torch.cat([batch.data[0] for batch in epoch])
    everything = problem.batches[0].data[0]
    torch.testing.assert_close(rows.sort(0).values, everything.sort(0).values)
    descent = ls.AdamDescent(steps=6, batch_size=5)
    first, second = (descent.in_full(one, seed=1) for one in (problem, cut))
    torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-11)


def test_it_is_seeded():
    _, problem = made_problem()
    descent = ls.AdamDescent(steps=6, batch_size=5)
    first, again, other = (descent.in_full(problem, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_divergence_is_named():
    _, problem = made_problem(loss="cross_entropy")
    descent = ls.AdamDescent(steps=50, full_step_size=1e308)
    with pytest.raises(NonFiniteError, match="diverged; a smaller step size"):
        descent.in_full(problem)


@pytest.mark.parametrize("name", ["steps", "batch_size", "step_size", "full_step_size"])
def test_what_is_not_positive_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} is 0; it must be"):
        ls.AdamDescent(**{name: 0})


def test_under_class_weights_it_follows_the_gradient_of_the_problem_itself():
    weights = torch.tensor([1.0, 15.0, 0.0], dtype=torch.float64)
    loss = nn.CrossEntropyLoss(weight=weights)
    net, problem = made_problem(weight_decay=0.05, loss=loss)
    batch = problem.batches[0].take(torch.tensor([0, 1, 2, 4, 7]))
    alone = ls.Problem(net, batch.data, weight_decay=0.05, loss=loss)
    torch.testing.assert_close(_mean_gradient(problem, batch, problem.weights), alone.gradient())
    # A mini-batch whose terms all have the weight 0 has no loss, and is not visited.
    descent = ls.AdamDescent(batch_size=1)
    visited = [batch for batch, _ in zip(descent._batches(problem, 0), range(16), strict=False)]
    assert all(int(batch.targets) != 2 for batch in visited)
