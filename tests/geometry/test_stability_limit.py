"""The limits of stability, against torch's own optimisers on a random quadratic."""

import pytest
import torch
from torch.optim import SGD, Adam, AdamW, RMSprop

import landscope as ls
from landscope.geometry import heavy_ball_limit, nesterov_limit

STEPS = 250
FROZEN = 1 - 2**-53
"""So long a memory of squared gradients that P stands still."""

OPTIMISERS = {
    "gradient descent": lambda p: SGD(p, lr=1.0),
    "without momentum nothing is dampened": lambda p: SGD(p, lr=1.0, dampening=0.5),
    "heavy ball": lambda p: SGD(p, lr=1.0, momentum=0.9),
    "dampened heavy ball": lambda p: SGD(p, lr=1.0, momentum=0.8, dampening=0.3),
    "Nesterov": lambda p: SGD(p, lr=1.0, momentum=0.7, nesterov=True),
    "weight decay": lambda p: SGD(p, lr=1.0, momentum=0.5, weight_decay=3.0),
    "groups": lambda p: SGD(
        [{"params": p[:1], "weight_decay": 2.0}, {"params": p[1:], "lr": 0.05}],
        lr=1.0,
        momentum=0.5,
    ),
    "Adam": lambda p: Adam(p, lr=1.0, betas=(0.9, FROZEN)),
    "Adam with weight decay": lambda p: Adam(p, lr=1.0, betas=(0.6, FROZEN), weight_decay=2.0),
    "AMSGrad": lambda p: Adam(p, lr=1.0, betas=(0.5, FROZEN), amsgrad=True),
    "AdamW": lambda p: AdamW(p, lr=1.0, betas=(0.9, FROZEN), weight_decay=0.0),
    "Adam in groups": lambda p: Adam(
        [{"params": p[:1]}, {"params": p[1:], "lr": 0.1}], lr=1.0, betas=(0.9, FROZEN)
    ),
    "RMSprop": lambda p: RMSprop(p, lr=1.0, alpha=FROZEN),
    "RMSprop with momentum": lambda p: RMSprop(p, lr=1.0, alpha=FROZEN, momentum=0.9),
    "centred RMSprop": lambda p: RMSprop(p, lr=1.0, alpha=FROZEN, centered=True),
}


INPUTS = torch.randn(30, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def linear():
    """A model whose mean squared error against zero is a quadratic, its minimum at zero."""
    torch.manual_seed(1)
    return torch.nn.Linear(6, 1).double()


def loss(model):
    return 0.5 * model(INPUTS).square().sum(1).mean()


def freeze(optimizer):
    """Give the optimiser squared gradients that it keeps."""
    generator = torch.Generator().manual_seed(2)
    for group in optimizer.param_groups:
        for p in group["params"]:
            v = 0.1 + torch.rand(p.shape, dtype=torch.float64, generator=generator)
            if isinstance(optimizer, Adam):
                v *= 1e-7  # of the order of what the bias correction divides by
                moments = {"exp_avg": torch.zeros_like(p), "exp_avg_sq": v, "max_exp_avg_sq": 2 * v}
                optimizer.state[p] = {"step": torch.tensor(1e9, dtype=torch.float64)} | moments
            elif isinstance(optimizer, RMSprop):
                optimizer.state[p] = {
                    "step": torch.tensor(1.0),
                    "square_avg": v,
                    "momentum_buffer": torch.zeros_like(p),
                    "grad_avg": 0.3 * v.sqrt(),
                }


def begin(make):
    """A model and an optimiser of it that keeps its squared gradients."""
    model = linear()
    optimizer = make(list(model.parameters()))
    freeze(optimizer)
    return model, optimizer


def largest_factor(make):
    """How many times the learning rate the largest stable one is."""
    model, optimizer = begin(make)
    problem = ls.Problem(model, (INPUTS, torch.zeros(30, 1).double()), loss="mse")
    measured = ls.stability(problem, model, optimizer, tol=1e-10)
    factor = measured.max_learning_rate / measured.learning_rate
    for group in optimizer.param_groups:
        group["lr"] *= 0.97 * factor
    assert ls.stability(problem, model, optimizer, tol=1e-10).ratio == pytest.approx(0.97)
    return factor


def descend(make, factor):
    """How much the weights grow at so many times the learning rate."""
    model, optimizer = begin(make)
    for group in optimizer.param_groups:
        group["lr"] *= factor
    weights = torch.nn.utils.parameters_to_vector
    start = weights(model.parameters()).detach().norm()
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(model).backward()
        optimizer.step()
        growth = float(weights(model.parameters()).detach().norm() / start)
        if growth > 100:
            break
    return growth


CONTAINED = {"heavy ball", "weight decay", "Adam", "RMSprop"}
"""What others do too, and something more."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if n in CONTAINED else ()) for n in OPTIMISERS],
)
def test_an_optimiser_is_stable_up_to_the_limit_and_not_beyond(name):
    factor = largest_factor(OPTIMISERS[name])
    assert descend(OPTIMISERS[name], 0.97 * factor) < 1e-2
    assert descend(OPTIMISERS[name], 1.03 * factor) > 100


def test_the_roots_of_the_update_lie_on_the_unit_circle_at_the_limit():
    def largest_root(trace, determinant):
        companion = torch.tensor([[trace, -determinant], [1.0, 0.0]], dtype=torch.float64)
        return float(torch.linalg.eigvals(companion).abs().max())

    for beta in (0.0, 0.3, 0.9, 0.99):
        kappa = heavy_ball_limit(beta)
        assert largest_root(1 + beta - kappa, beta) == pytest.approx(1, abs=1e-7)
        kappa = nesterov_limit(beta)
        root = largest_root(1 + beta - (1 + beta) * kappa, beta * (1 - kappa))
        assert root == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize("momentum", [-0.1, 1.0, float("nan")])
@pytest.mark.parametrize("limit", [heavy_ball_limit, nesterov_limit])
def test_a_momentum_without_a_limit_is_refused(limit, momentum):
    with pytest.raises(ValueError, match=r"momentum is .*; it must lie in \[0, 1\)"):
        limit(momentum)


def test_a_dampening_that_stops_the_gradient_is_refused():
    with pytest.raises(ValueError, match="dampening is 1"):
        heavy_ball_limit(0.5, dampening=1.0)
