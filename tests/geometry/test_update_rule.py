"""What is read from an optimiser, against the step that it takes."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.optim import LBFGS, SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import LambdaLR

import landscope as ls
from landscope.geometry import update_rule

X = torch.randn(20, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Y = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def network():
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def problem_of(model, **options):
    return ls.Problem(model, (X, Y), loss="mse", **options)


def step(model, optimizer):
    """One full-batch update; what it added to the weights."""
    before = nn.utils.parameters_to_vector(model.parameters()).detach()
    optimizer.zero_grad()
    (0.5 * (model(X) - Y).square().sum(1).mean()).backward()
    optimizer.step()
    return nn.utils.parameters_to_vector(model.parameters()).detach() - before


ADAPTIVE = {
    "Adam": lambda p: Adam(p, lr=0.01),
    "coupled decay": lambda p: Adam(p, lr=0.01, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.3),
    "AMSGrad": lambda p: Adam(p, lr=0.01, betas=(0.9, 0.5), amsgrad=True),
    "AdamW": lambda p: AdamW(p, lr=0.01, weight_decay=0.0),
    "rate as a tensor": lambda p: Adam(p, lr=torch.tensor(0.01)),
    "groups": lambda p: Adam([{"params": p[:2]}, {"params": p[2:], "lr": 0.002}], lr=0.01),
    "RMSprop": lambda p: RMSprop(p, lr=0.01, eps=1e-4),
    "centred RMSprop": lambda p: RMSprop(p, lr=0.01, alpha=0.9, centered=True, weight_decay=0.1),
}


def averaged_gradient(optimizer, before):
    """What torch divided by P in its last step, from the weights before it."""
    averages = []
    for group in optimizer.param_groups:
        for p in group["params"]:
            with_decay = p.grad + group["weight_decay"] * before[p]
            average = optimizer.state[p]["exp_avg"] if "betas" in group else with_decay
            averages.append(average.reshape(-1))
    return torch.cat(averages)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_the_preconditioner_is_the_one_of_the_step_just_taken(name):
    model = network()
    optimizer = ADAPTIVE[name](list(model.parameters()))
    for _ in range(4):
        step(model, optimizer)
    before = {p: p.detach().clone() for p in model.parameters()}
    taken = step(model, optimizer)
    rule = update_rule(problem_of(model), model, optimizer)
    expected = -rule.learning_rate * rule.scale.square() * averaged_gradient(optimizer, before)
    assert torch.allclose(taken, expected, rtol=1e-6, atol=1e-12)
    assert rule.learning_rate == pytest.approx(0.01)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_before_the_first_step_the_preconditioner_is_that_of_the_first_step(name):
    model = network()
    optimizer = ADAPTIVE[name](list(model.parameters()))
    problem = problem_of(model)
    before = update_rule(problem, model, optimizer)
    step(model, optimizer)
    after = update_rule(problem, model, optimizer)
    assert torch.allclose(before.scale, after.scale, rtol=1e-6)


def test_weight_decay_is_read_where_it_is_part_of_the_gradient():
    model = network()
    weights = {"params": [p for p in model.parameters() if p.ndim == 2], "weight_decay": 0.2}
    biases = {"params": [p for p in model.parameters() if p.ndim == 1]}
    problem = problem_of(model)
    coupled = update_rule(problem, model, SGD([weights, biases], lr=0.1))
    ridge = problem.unflatten(coupled.ridge)
    assert [float(ridge[name].unique()) for name in ("0.weight", "0.bias")] == [0.2, 0.0]
    decoupled = update_rule(problem, model, AdamW(model.parameters(), weight_decay=0.2))
    assert float(decoupled.ridge.abs().max()) == 0


def test_a_lower_learning_rate_is_part_of_the_preconditioner():
    model = network()
    problem = problem_of(model)

    def read(first, last):
        groups = [
            {"params": model[0].parameters(), "lr": first},
            {"params": model[2].parameters(), "lr": last},
        ]
        return update_rule(problem, model, SGD(groups))

    rule = read(0.1, 0.025)
    assert rule.learning_rate == 0.1
    scale = problem.unflatten(rule.scale)
    assert float(scale["0.bias"][0]) == 1
    assert float(scale["2.bias"][0]) == pytest.approx(0.5)
    assert rule.preconditioned
    assert float(problem.unflatten(read(0.1, 0.0).scale)["2.bias"][0]) == 0
    warming_up = read(0.0, 0.0)
    assert warming_up.learning_rate == 0
    assert not warming_up.preconditioned


class Wrapper(Optimizer):
    """A wrapper as accelerate's: an optimiser that has another one as its own."""

    def __init__(self, optimizer):
        self.optimizer = optimizer


def test_wrapped_models_and_optimisers_are_unwrapped():
    model = network()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = LambdaLR(optimizer, lambda t: 1.0)
    problem = problem_of(model)
    compiled = torch.compile(model)
    for one in (optimizer, Wrapper(optimizer), Wrapper(Wrapper(optimizer)), schedule):
        for wrapped in (model, nn.DataParallel(model), compiled):
            rule = update_rule(problem, wrapped, one)
            assert (rule.name, rule.learning_rate, rule.threshold) == ("heavy ball", 0.1, 3.8)


@pytest.mark.slow  # the import
def test_the_optimiser_of_lightning_is_unwrapped():
    wrapper = pytest.importorskip("lightning.pytorch.core.optimizer").LightningOptimizer
    model = network()
    wrapped = wrapper(Adam(model.parameters(), lr=0.1))
    assert update_rule(problem_of(model), model, wrapped).name == "Adam"


def test_the_learning_rate_is_the_one_that_a_schedule_has_set():
    model = network()
    optimizer = SGD(model.parameters(), lr=0.4)
    schedule = LambdaLR(optimizer, lambda t: 1 / (1 + t))
    step(model, optimizer)
    schedule.step()
    assert update_rule(problem_of(model), model, optimizer).learning_rate == 0.2


def test_tied_parameters_are_one():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, 4, bias=False)
            self.second = nn.Linear(4, 4, bias=False)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(torch.tanh(self.first(x)))

    model = Tied().double()
    problem = ls.Problem(model, (X, X), loss="mse")
    rule = update_rule(problem, model, Adam(model.parameters()))
    assert rule.scale.shape == (16,)


def test_some_of_the_parameters_may_be_measured():
    model = network()
    head = problem_of(model, params=["2"])
    groups = [
        {"params": model[0].parameters(), "momentum": 0.5},
        {"params": model[2].parameters()},
    ]
    assert update_rule(head, model, SGD(groups, lr=0.1)).name == "gradient descent"
    assert update_rule(head, model, Adam(model[2].parameters())).scale.shape == (18,)


def test_a_function_has_its_parameters_by_name():
    weights = {"w": torch.ones(4, 3, dtype=torch.float64, requires_grad=True)}
    problem = ls.Problem(lambda p, x: x @ p["w"], (X, Y), loss="mse", params=weights)
    rule = update_rule(problem, weights, SGD(weights.values(), lr=0.1, momentum=0.5, nesterov=True))
    assert (rule.name, rule.threshold) == ("Nesterov", 1.5)


def broken(**settings):
    """An optimiser whose first group says something else."""

    def make(model):
        optimizer = SGD(model.parameters(), lr=0.1)
        optimizer.param_groups[0].update(settings)
        return optimizer

    return make


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m: LBFGS(m.parameters()), "is a LBFGS; accepted are SGD, Adam, AdamW, RMSprop"),
        (lambda m: Adagrad(m.parameters()), "is a Adagrad"),
        (lambda m: SimpleNamespace(lr=0.1), "is a SimpleNamespace"),
        (lambda m: type("Own", (SGD,), {})(m.parameters()), "is a Own"),
        (broken(lr=None), "learning rate is None, which cannot be read; accepted is a finite"),
        (broken(lr=lambda t: 0.1), "learning rate is <function"),
        (broken(lr=float("nan")), "learning rate is nan"),
        (broken(lr=torch.tensor([0.1, 0.2])), "learning rate is tensor"),
        (broken(maximize=True), "maximize=True"),
        (broken(momentum=1.5), "momentum is 1.5"),
        (broken(momentum=0.9, dampening=1.0), "dampening is 1.0"),
        (
            lambda m: SGD(
                [
                    {"params": m[0].parameters(), "momentum": 0.9},
                    {"params": m[2].parameters()},
                ],
                lr=0.1,
            ),
            "different momentum, with the limits 2/η and 3.8/η; accepted is one momentum",
        ),
        (lambda m: SGD(m[0].parameters(), lr=0.1), "does not hold the parameter '2.weight'"),
        (lambda m: SGD(network().parameters(), lr=0.1), "does not hold the parameter '0.weight'"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(make, message):
    model = network()
    with pytest.raises((TypeError, ValueError), match=message) as refused:
        update_rule(problem_of(model), model, make(model))
    assert ". " not in str(refused.value).replace("0.weight", "")


def test_a_missing_learning_rate_is_refused():
    model = network()
    optimizer = SGD(model.parameters(), lr=0.1)
    del optimizer.param_groups[0]["lr"]
    with pytest.raises(ValueError, match="learning rate is None"):
        update_rule(problem_of(model), model, optimizer)


def test_another_model_is_refused():
    model = network()
    optimizer = SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"model has no parameter '0\.weight'"):
        update_rule(problem_of(model), nn.Linear(4, 3).double(), optimizer)
