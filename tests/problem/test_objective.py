"""An objective of the whole model and batch: loss, gradient and Hessian, and nothing of logits."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import landscope as ls
from tests.reference.dense import product_error, relative_error

N = 10


def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


def data():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(N, 3, dtype=torch.float64, generator=generator)
    return x, x + 0.1 * torch.randn(N, 3, dtype=torch.float64, generator=generator)


def contrastive(model, batch):
    """Each example is to be nearest to its own view among those of its batch: coupled."""
    z, other = (model(x) for x in batch)
    return F.cross_entropy(z @ other.T, torch.arange(len(z)))


def of_some(model, batch):
    """The sum over terms of the examples that count, and how many do."""
    x, other = batch
    counts = x[:, 0] > -0.5
    return (model(x) - model(other)).square().sum(1)[counts].sum(), counts.sum()


def reference(objective, cuts, weight_decay=0.0):
    """Loss, gradient and Hessian by double backward over the batches of these sizes."""
    model = network()
    shapes = {name: p.shape for name, p in model.named_parameters()}
    w = torch.cat([p.detach().flatten() for p in model.parameters()])

    def loss(w):
        parts = w.split([shape.numel() for shape in shapes.values()])
        state = {n: part.view(s) for (n, s), part in zip(shapes.items(), parts, strict=True)}

        def at(x):
            return torch.func.functional_call(model, state, (x,))

        batches = zip(*(x.split(cuts) for x in data()), strict=True)
        found = [objective(at, batch) for batch in batches]
        if objective is contrastive:  # a mean over each batch
            found = [(one * n, n) for one, n in zip(found, cuts, strict=True)]
        total = sum(total for total, _ in found) / sum(count for _, count in found)
        return total + weight_decay / 2 * w.square().sum()

    derivatives = torch.autograd.functional.jacobian, torch.autograd.functional.hessian
    return loss(w), *(derivative(loss, w) for derivative in derivatives)


@pytest.mark.parametrize("objective", [contrastive, of_some])
@pytest.mark.parametrize("cuts", [[N], [4, 4, 2]])
def test_loss_gradient_and_hessian(objective, cuts):
    size = cuts[0] if len(cuts) > 1 else None
    problem = ls.Problem(network(), data(), objective=objective, batch_size=size, weight_decay=0.1)
    loss, gradient, hessian = reference(objective, cuts, weight_decay=0.1)
    assert float(problem.loss()) == pytest.approx(float(loss), rel=1e-12)
    assert relative_error(problem.gradient(), gradient) < 1e-11
    assert product_error(ls.Hessian(problem, method="double_backward"), hessian) < 1e-10


def test_the_hessian_is_traced_like_that_of_a_loss():
    problem = ls.Problem(network(), data(), objective=of_some)
    H = ls.Hessian(problem, method="linearized")
    assert product_error(H, reference(of_some, [N])[2]) < 1e-10


@pytest.mark.parametrize(
    "measurement",
    [
        ls.GaussNewton, ls.LogitCurvature, ls.EmpiricalFisher, ls.LogitJacobian, ls.TangentKernel,
        ls.gram_spectrum, ls.logit_clustering, ls.tangent_kernel, ls.hessian_split,
        ls.fit_random_model, ls.class_probabilities, ls.Problem.logits,
    ],
)  # fmt: skip
def test_what_needs_logits_is_refused(measurement):
    problem = ls.Problem(network(), data(), objective=contrastive)
    with pytest.raises(ValueError, match="objective"):
        measurement(problem)


def test_measure_leaves_out_what_needs_logits():
    problem = ls.Problem(network(), data(), objective=contrastive)
    with pytest.warns(UserWarning, match="leaves out gauss_newton"):
        found = ls.measure(problem, parts=["hessian", "gauss_newton", "clustering"])
    top = torch.linalg.eigvalsh(reference(contrastive, [N])[2])[-1]
    assert float(found.hessian_eigenvalues[0]) == pytest.approx(float(top), rel=1e-6)
    assert "gauss_newton_eigenvalues" not in found


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"objective": 3.0}, "objective is 3.0"),
        ({"objective": contrastive, "loss": "mse"}, "objective is given with loss"),
        ({"objective": lambda model, batch: model(batch[0])}, r"objective gave \(\d+, 2\)"),
    ],
)
def test_what_is_no_objective_is_refused(options, match):
    with pytest.raises((TypeError, ValueError), match=match):
        ls.Problem(network(), data(), **options)


def test_a_pair_of_tensors_is_one_batch_whatever_its_length():
    x = torch.arange(600.0)[:, None]
    problem = ls.Problem(nn.Linear(1, 1), (x, x), objective=lambda model, batch: batch[0].max())
    assert float(problem.loss()) == 599.0
    descent = ls.AdamDescent(steps=2, batch_size=64)
    assert next(descent._batches(problem, 0)).num_rows == 600


def test_fingerprints_tell_objectives_apart():
    first, again, other = (
        ls.Problem(network(), data(), objective=f).fingerprint()
        for f in (contrastive, contrastive, of_some)
    )
    assert first == again != other


def test_a_physics_informed_objective_that_differentiates_its_model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(1, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    x = torch.linspace(0, 1, 8, dtype=torch.float64)[:, None]

    def residual(model, batch):
        """u' = u on the points of the batch."""
        points = batch[0].detach().requires_grad_()
        u = model(points)
        (slope,) = torch.autograd.grad(u.sum(), points, create_graph=True)
        return (slope - u).square().mean()

    problem = ls.Problem(model, (x, x), objective=residual)
    gradient = torch.autograd.grad(
        residual(model, (x,)), list(model.parameters()), allow_unused=True
    )
    flat = [
        torch.zeros_like(p) if g is None else g
        for g, p in zip(gradient, model.parameters(), strict=True)
    ]
    expected = torch.cat([g.flatten() for g in flat])
    assert relative_error(problem.gradient(), expected) < 1e-11
    v = torch.ones(problem.num_params, dtype=torch.float64)
    h = 1e-5
    ahead, behind = (problem.at(problem.weights + s * h * v).gradient() for s in (1, -1))
    assert relative_error(ls.Hessian(problem) @ v, (ahead - behind) / (2 * h)) < 1e-7
