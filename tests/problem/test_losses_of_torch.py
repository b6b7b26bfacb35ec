"""Losses of torch.nn and functions of outputs and targets, against torch on all data at once."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import landscope as ls
from tests.reference.dense import Dense, product_error, relative_error

N, C = 7, 3
WEIGHTS = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


X = torch.randn(N, 2, dtype=torch.float64, generator=seeded())
LABELS = torch.tensor([0, 2, 1, 1, 0, 2, 2])
NUMBERS = torch.randn(N, C, dtype=torch.float64, generator=seeded())
BITS = (NUMBERS > 0).double()
SHARES = NUMBERS.softmax(1)
COUNTS = NUMBERS.exp().round()


def network(*end: nn.Module, outputs: int = C) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, outputs), *end).double()


def measured(model: nn.Module, x: Tensor, y: Tensor, loss: object) -> Dense:
    """The reference: the loss of torch on all data as one batch."""
    shapes = [p.shape for p in model.parameters()]
    names = [name for name, _ in model.named_parameters()]

    def outputs(w: Tensor) -> Tensor:
        parts = w.split([shape.numel() for shape in shapes])
        state = {n: part.view(s) for n, part, s in zip(names, parts, shapes, strict=True)}
        return torch.func.functional_call(model, state, (x,))

    def mean(z: Tensor) -> Tensor:
        return loss(z, y).mean()

    w = torch.cat([p.detach().flatten() for p in model.parameters()])
    return Dense(w, outputs, mean, mean, y)


LOG_SOFTMAX, SIGMOID = nn.LogSoftmax(dim=-1), nn.Sigmoid()

MODULES = {
    "mse": (nn.MSELoss(), NUMBERS, ()),
    "mse summed": (nn.MSELoss(reduction="none"), NUMBERS, ()),
    "l1": (nn.L1Loss(), NUMBERS, ()),
    "huber": (nn.HuberLoss(delta=0.7), NUMBERS, ()),
    "smooth l1": (nn.SmoothL1Loss(beta=0.4), NUMBERS, ()),
    "bce with logits": (nn.BCEWithLogitsLoss(), BITS, ()),
    "bce with weights": (nn.BCEWithLogitsLoss(WEIGHTS, pos_weight=WEIGHTS + 1), SHARES, ()),
    "bce": (nn.BCELoss(WEIGHTS), BITS, (SIGMOID,)),
    "soft labels": (nn.MultiLabelSoftMarginLoss(WEIGHTS), BITS, ()),
    "soft margin": (nn.SoftMarginLoss(), 2 * BITS - 1, ()),
    "kl": (nn.KLDivLoss(reduction="batchmean"), SHARES, (LOG_SOFTMAX,)),
    "kl over all": (nn.KLDivLoss(log_target=True), SHARES.log(), (LOG_SOFTMAX,)),
    "poisson": (nn.PoissonNLLLoss(full=True), COUNTS, ()),
    "poisson rates": (nn.PoissonNLLLoss(log_input=False), COUNTS, (nn.Softplus(),)),
    "nll": (nn.NLLLoss(), LABELS, (LOG_SOFTMAX,)),
    "nll with weights": (nn.NLLLoss(WEIGHTS), LABELS, (LOG_SOFTMAX,)),
    "smoothing": (nn.CrossEntropyLoss(WEIGHTS, label_smoothing=0.1), LABELS, ()),
}


def focal(z: Tensor, y: Tensor) -> Tensor:
    """Of each term; not convex in the logits."""
    plain = F.cross_entropy(z, y, reduction="none")
    return (1 - (-plain).exp()) ** 2 * plain


def quantile(z: Tensor, y: Tensor) -> Tensor:
    """One mean, of what is piecewise quadratic in the outputs."""
    off = y - z
    return torch.maximum(0.8 * off, -0.2 * off).square().mean()


FUNCTIONS = {
    "focal terms": (focal, LABELS, ()),
    "focal mean": (lambda z, y: focal(z, y).mean(), LABELS, ()),
    "quantile": (quantile, NUMBERS, ()),
    "of each output": (lambda z, y: (z - y).cosh().log(), NUMBERS, ()),
    "of torch": (F.huber_loss, NUMBERS, ()),
}


@pytest.mark.parametrize("name", [*MODULES, *FUNCTIONS])
def test_a_loss_is_that_of_torch_on_all_data_as_one_batch(name):
    loss, y, end = (MODULES | FUNCTIONS)[name]
    model = network(*end)
    problem = ls.Problem(model, (X, y), loss=loss, batch_size=3)
    reference = measured(model, X, y, loss)
    assert float(problem.loss()) == pytest.approx(float(reference.loss), rel=1e-12)
    assert relative_error(problem.gradient(), reference.gradient) < 1e-11
    method = {"method": "double_backward"}
    assert product_error(ls.Hessian(problem, **method), reference.hessian) < 1e-10
    assert product_error(ls.GaussNewton(problem, **method), reference.gauss_newton) < 1e-10
    assert product_error(ls.LogitCurvature(problem, **method), reference.logit_curvature) < 1e-10


class Half:
    """½‖z − y‖²/C, its derivatives off by factors."""

    def __init__(self, gradient: float = 1.0, hessian: float = 1.0):
        self.factors = gradient, hessian

    def terms(self, z, y):
        return ((z - y) ** 2).mean(-1) / 2

    def gradient(self, z, y):
        return self.factors[0] * (z - y) / z.shape[-1]

    def hessian_vector_product(self, z, y, v):
        return self.factors[1] * v / z.shape[-1]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_derivatives_that_disagree_with_the_terms_are_refused(dtype):
    model, data = network().to(dtype), (X.to(dtype), NUMBERS.to(dtype))
    problem = ls.Problem(model, data, loss=Half())
    half = F.mse_loss(model(data[0]), data[1]) / 2
    assert float(problem.loss()) == pytest.approx(float(half), rel=1e-5)
    with pytest.raises(ValueError, match=r"gradient of loss Half differs by 0\.5, relatively"):
        ls.Problem(model, data, loss=Half(gradient=2.0))
    with pytest.raises(ValueError, match=r"hessian_vector_product of loss Half differs by 0\.03"):
        ls.Problem(model, data, loss=Half(hessian=0.97))


class Shaped(Half):
    def terms(self, z, y):
        return ((z - y) ** 2) / 2


class Broadcast(Half):
    def terms(self, z, y):
        return ((z - y) ** 2).sum(-1) / 2


def test_shapes_that_broadcast_are_refused():
    scalar = network(nn.Flatten(0), outputs=1)
    numbers = NUMBERS[:, 0]
    with pytest.raises(ValueError, match=r"terms of loss Shaped has the shape \(7, 3\)"):
        ls.Problem(network(), (X, NUMBERS), loss=Shaped())
    with pytest.raises(ValueError, match="terms of loss Broadcast"):
        ls.Problem(scalar, (X, numbers), loss=Broadcast())
    with pytest.raises(ValueError, match="shapes that broadcast"):
        ls.Problem(network(outputs=1), (X, numbers), loss=lambda z, y: (z - y).square().mean())


@pytest.mark.parametrize("loss", ["mse", nn.MSELoss(), F.mse_loss, lambda z, y: (z - y) ** 2])
def test_one_output_is_paired_with_its_target(loss):
    scalar, numbers = network(nn.Flatten(0), outputs=1), NUMBERS[:, 0]
    expected = F.mse_loss(scalar(X), numbers).item() / (2 if loss == "mse" else 1)
    problem = ls.Problem(scalar, (X, numbers), loss=loss, batch_size=3)
    assert float(problem.loss()) == pytest.approx(expected, rel=1e-12)


def contrastive(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z @ z.T, torch.arange(len(z)))


def of_weighted_mean(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, WEIGHTS)


@pytest.mark.parametrize("loss", [contrastive, of_weighted_mean])
def test_a_mean_that_is_none_over_terms_is_refused(loss):
    with pytest.raises(ValueError, match=f"loss {loss.__name__} gives a batch another value"):
        ls.Problem(network(), (X, LABELS), loss=loss)


def test_a_loss_that_cannot_be_differentiated_twice_is_refused():
    with pytest.raises(ValueError, match="MultiMarginLoss cannot be differentiated twice"):
        ls.Problem(network(), (X, LABELS), loss=nn.MultiMarginLoss())


def test_ignored_targets_are_no_terms_of_a_function_that_gives_one_mean():
    labels = LABELS.clone()
    labels[2:5] = -100
    model = network()
    problem = ls.Problem(model, (X, labels), loss=lambda z, y: F.cross_entropy(z, y), batch_size=2)
    assert problem.num_examples == 4
    expected = F.cross_entropy(model(X), labels).item()
    assert float(problem.loss()) == pytest.approx(expected, rel=1e-12)


def test_a_function_of_images_is_measured_by_pixels():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Conv2d(1, C, 3).double()
        x, y = torch.randn(4, 1, 6, 7, dtype=torch.float64), torch.randint(C, (4, 4, 5))
    problem = ls.Problem(model, (x, y), loss=focal, batch_size=3)
    assert float(problem.loss()) == pytest.approx(focal(model(x), y).mean().item(), rel=1e-12)


def test_the_gram_of_a_convex_loss_has_the_spectrum_of_its_gauss_newton_matrix():
    loss = nn.BCEWithLogitsLoss(pos_weight=WEIGHTS)
    problem = ls.Problem(network(), (X, BITS), loss=loss, batch_size=3)
    G = ls.GaussNewton(problem, method="double_backward")
    assert G.psd
    expected = torch.linalg.eigvalsh(G.to_dense()).flip(0)
    found = ls.gram_spectrum(problem)
    torch.testing.assert_close(found, expected[: len(found)], rtol=1e-9, atol=1e-12)


def test_a_loss_that_is_not_convex_has_no_gram_and_is_not_called_positive():
    def cauchy(z, y):
        return (1 + (z - 4 * y).square()).log()

    problem = ls.Problem(network(), (X, NUMBERS), loss=cauchy)
    assert not ls.GaussNewton(problem).psd
    with pytest.raises(ValueError, match="not convex in the logits"):
        ls.gram_spectrum(problem)


def test_fingerprints_tell_losses_and_their_options_apart():
    losses = [
        nn.HuberLoss(), nn.HuberLoss(delta=0.5), nn.SmoothL1Loss(), nn.MSELoss(), "mse",
        lambda z, y: (z - y) ** 2, lambda z, y: (z - y) ** 4,
        nn.BCEWithLogitsLoss(), nn.BCEWithLogitsLoss(pos_weight=WEIGHTS),
        nn.KLDivLoss(reduction="sum"), nn.KLDivLoss(reduction="batchmean"),
    ]  # fmt: skip
    found = [ls.Problem(network(), (X, BITS), loss=loss).fingerprint() for loss in losses]
    assert len(set(found)) == len(losses)
    again = ls.Problem(network(), (X, BITS), loss=nn.HuberLoss(), batch_size=2).fingerprint()
    assert again == found[0]
