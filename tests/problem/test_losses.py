"""Each loss against torch's own, and its three derivatives against double backward."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import landscope as ls
from tests.reference.dense import product_error, relative_error
from tests.reference.networks import CASES, IGNORE, dense_reference, mlp

INPUTS, TARGETS = CASES["mlp"].data()
WEIGHTS = torch.tensor([0.5, 2.0, 1.0, 3.0], dtype=torch.float64)

CRITERIA = {
    "plain": nn.CrossEntropyLoss(),
    "weights": nn.CrossEntropyLoss(weight=WEIGHTS),
    "smoothing": nn.CrossEntropyLoss(label_smoothing=0.1),
    "weights_and_smoothing": nn.CrossEntropyLoss(weight=WEIGHTS, label_smoothing=0.2),
    "ignore_index": nn.CrossEntropyLoss(ignore_index=2),
    "weights_and_ignore_index": nn.CrossEntropyLoss(weight=WEIGHTS, ignore_index=1),
}


def reference_for(criterion):
    """The criterion on all data at once; the terms that it ignores are taken out first."""
    kept = criterion.ignore_index != TARGETS
    return dense_reference(CASES["mlp"].model(), INPUTS[kept], TARGETS[kept], criterion)


@pytest.mark.parametrize(
    ("batch_size", "name"), [(5, name) for name in CRITERIA] + [(None, "weights_and_smoothing")]
)
def test_a_criterion_is_measured_as_torch_computes_it(name, batch_size):
    criterion = CRITERIA[name]
    model, reference = CASES["mlp"].model(), reference_for(criterion)
    problem = ls.Problem(model, (INPUTS, TARGETS), loss=criterion, batch_size=batch_size)
    assert float(problem.loss()) == pytest.approx(
        criterion(model(INPUTS), TARGETS).item(), rel=1e-13
    )
    assert problem.num_examples == reference.num_examples
    assert relative_error(problem.gradient(), reference.gradient) < 1e-12
    assert product_error(ls.Hessian(problem), reference.hessian) < 1e-11
    assert product_error(ls.GaussNewton(problem), reference.gauss_newton) < 1e-11
    assert product_error(ls.LogitCurvature(problem), reference.logit_curvature) < 1e-11


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_the_mean_over_terms_is_measured_whatever_the_reduction(reduction):
    problem = ls.Problem(
        CASES["mlp"].model(), (INPUTS, TARGETS), loss=nn.CrossEntropyLoss(reduction=reduction)
    )
    expected = dense_reference(CASES["mlp"].model(), INPUTS, TARGETS)
    assert float(problem.loss()) == pytest.approx(float(expected.loss), rel=1e-13)


class Pixels(nn.Module):
    """Logits for each pixel: (B, C, H, W), the layout of nn.CrossEntropyLoss."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)

    def forward(self, x):
        return torch.tanh(self.conv(x))


def test_targets_for_each_pixel():
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Pixels().double()
    x = torch.randn(2, 1, 4, 5, dtype=torch.float64, generator=generator)
    y = torch.randint(3, (2, 4, 5), generator=generator)
    y[0, 0] = IGNORE
    problem = ls.Problem(model, (x, y))
    assert problem.num_examples == 35
    assert problem.num_classes == 3
    logits = model(x)
    loss = functional.cross_entropy(logits, y)
    expected = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, model.parameters())])
    assert float(problem.loss()) == pytest.approx(loss.item(), rel=1e-13)
    assert relative_error(problem.gradient(), expected) < 1e-12


def test_logits_with_as_many_places_as_classes_are_refused_also_where_others_are_read():
    """In one batch of three the places are as many as the classes."""
    model = nn.Conv1d(2, 3, 1)
    data = [(torch.randn(2, 2, n), torch.zeros(2, n, dtype=torch.long)) for n in (5, 3, 4)]
    with pytest.raises(ValueError, match=r"logits of shape \(2, 3, 3\) can have their classes in"):
        ls.Problem(model, data)

    def forward(model, batch):
        return model(batch[0]).movedim(1, 2).reshape(-1, 3), batch[1].reshape(-1)

    with torch.no_grad():
        total = sum(functional.cross_entropy(model(x), y, reduction="sum") for x, y in data)
    problem = ls.Problem(model, data, forward=forward)
    assert float(problem.loss()) == pytest.approx(float(total) / 24, rel=1e-5)


@pytest.mark.parametrize("leading", [(6, 2), (2, 3, 2), (12,)])
def test_any_leading_shape_of_targets(leading):
    model = CASES["mlp"].model()
    x, y = INPUTS.reshape(*leading, 5), TARGETS.reshape(leading)
    problem = ls.Problem(model, (x, y))
    expected = dense_reference(model, INPUTS, TARGETS)
    assert problem.num_examples == 12
    assert relative_error(problem.logits(), expected.z) < 1e-13
    assert relative_error(problem.gradient(), expected.gradient) < 1e-12


def test_mse_is_half_the_squared_distance_for_each_example():
    model, (x, y) = CASES["mse"].model(), CASES["mse"].data()
    problem = ls.Problem(model, (x, y), loss="mse", batch_size=4)
    expected = 0.5 * (model(x) - y).square().sum(dim=1).mean()
    assert float(problem.loss()) == pytest.approx(expected.item(), rel=1e-13)


class LogCosh:
    """A loss of a user's own: Σ_k ln cosh(z_k − y_k) for each term."""

    def terms(self, logits, targets):
        return (logits - targets).cosh().log().sum(dim=1)

    def gradient(self, logits, targets):
        return (logits - targets).tanh()

    def hessian_vector_product(self, logits, targets, vectors):
        return vectors / (logits - targets).cosh().square()


def test_a_loss_of_ones_own():
    model, (x, y) = CASES["mse"].model(), CASES["mse"].data()
    problem = ls.Problem(model, (x, y), loss=LogCosh(), batch_size=4)
    d = CASES["mse"].dense()

    def mean(z):
        return LogCosh().terms(z, y).mean()

    reference = type(d)(d.point, d.logits, mean, lambda z: LogCosh().terms(z, y), y)
    assert float(problem.loss()) == pytest.approx(float(reference.loss), rel=1e-13)
    assert relative_error(problem.gradient(), reference.gradient) < 1e-12
    for operator, matrix in (
        (ls.Hessian, reference.hessian),
        (ls.GaussNewton, reference.gauss_newton),
        (ls.LogitCurvature, reference.logit_curvature),
        (ls.EmpiricalFisher, reference.empirical_fisher),
    ):
        assert product_error(operator(problem), matrix) < 1e-11


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_weight_decay_adds_its_ridge_to_the_hessian_and_not_to_its_terms(loss):
    case = CASES["mlp" if loss == "cross_entropy" else "mse"]
    decayed = case.dense(weight_decay=0.3)
    problem = ls.Problem(case.model(), case.data(), loss=loss, weight_decay=0.3)
    assert float(problem.loss()) == pytest.approx(float(decayed.loss), rel=1e-13)
    assert relative_error(problem.gradient(), decayed.gradient) < 1e-12
    assert product_error(ls.Hessian(problem), decayed.hessian) < 1e-11
    assert product_error(ls.GaussNewton(problem), decayed.gauss_newton) < 1e-11
    assert product_error(ls.LogitCurvature(problem), decayed.logit_curvature) < 1e-11
    assert product_error(ls.EmpiricalFisher(problem), decayed.empirical_fisher) < 1e-11


def test_the_ridge_does_not_grow_with_the_number_of_batches():
    case = CASES["mlp"]
    problem = ls.Problem(case.model(), case.data(), weight_decay=0.3, batch_size=1)
    decayed = case.dense(weight_decay=0.3)
    assert float(problem.loss()) == pytest.approx(float(decayed.loss), rel=1e-13)
    assert relative_error(problem.gradient(), decayed.gradient) < 1e-12
    assert product_error(ls.Hessian(problem), decayed.hessian) < 1e-11


def test_extreme_logits_stay_finite():
    # z of order 1e3: softmax saturates, the loss is a difference of logits, M underflows to 0.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = mlp().double()
    with torch.no_grad():
        model[4].weight *= 1e4
    problem = ls.Problem(model, (INPUTS, TARGETS))
    reference = dense_reference(model, INPUTS, TARGETS)
    assert float(problem.loss()) == pytest.approx(float(reference.loss), rel=1e-12)
    assert relative_error(problem.gradient(), reference.gradient) < 1e-10
    assert torch.isfinite(ls.Hessian(problem) @ problem.gradient()).all()


class HuberWithoutKinks:
    """Its Hessian product forgets that large differences have none."""

    def terms(self, logits, targets):
        return functional.huber_loss(logits, targets, reduction="none").mean(1)

    def gradient(self, logits, targets):
        return (logits - targets).clamp(-1, 1) / logits.shape[1]

    def hessian_vector_product(self, logits, targets, vectors):
        return vectors / logits.shape[1]


@pytest.mark.parametrize("batch_size", [None, 20])
def test_a_loss_that_is_wrong_on_the_last_terms_alone_is_refused(batch_size):
    targets = torch.cat([torch.zeros(36, 3), torch.full((4, 3), 9.0)])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        data = 0.1 * torch.randn(40, 4), targets
        model = nn.Linear(4, 3)
    ls.Problem(model, (data[0][:36], targets[:36]), HuberWithoutKinks())
    with pytest.raises(
        ValueError, match="hessian_vector_product of loss HuberWithoutKinks differs"
    ):
        ls.Problem(model, data, HuberWithoutKinks(), batch_size=batch_size)
