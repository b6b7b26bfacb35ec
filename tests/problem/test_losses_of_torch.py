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
    with pytest.raises(ValueError, match="terms of loss Broadcast"):  # one alone does not
        ls.Problem(scalar, [(X[:1], numbers[:1]), (X[1:], numbers[1:])], loss=Broadcast())
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


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (lambda z, y, more: z, "missing 1 required positional argument"),
        (lambda z, y: 1.0, "gave a float"),
        (lambda z, y: z.sum(0), "values of shape"),
    ],
)
def test_a_function_that_is_no_loss_is_refused_in_a_sentence(loss, reason):
    with pytest.raises(ValueError, match=f"loss <lambda> .*{reason}"):
        ls.Problem(network(), (X, LABELS), loss=loss)


class Quadratic(nn.Module):
    """A module of one's own with a tensor that moves with the logits."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, z, y):
        return (self.scale * (z - y) ** 2).sum(1).mean()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_module_of_ones_own_is_taken_in_the_dtype_of_the_model(dtype):
    model, data = network().to(dtype), (X.to(dtype), NUMBERS.to(dtype))
    loss = Quadratic()
    problem = ls.Problem(model, data, loss=loss, batch_size=3)
    expected = loss.to(dtype)(model(data[0]), data[1])
    assert float(problem.loss()) == pytest.approx(float(expected), rel=1e-6)
    values = ls.eigsh(ls.GaussNewton(problem, method="double_backward"), 2).values
    expected = measured(network(), X, NUMBERS, Quadratic().double()).gauss_newton
    top = torch.linalg.eigvalsh(expected).flip(0)[:2]
    torch.testing.assert_close(values.double(), top, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("name", "loss", "y"),
    [
        ("huber", F.huber_loss, NUMBERS), ("smooth_l1", F.smooth_l1_loss, NUMBERS),
        ("l1", F.l1_loss, NUMBERS), ("mse_loss", F.mse_loss, NUMBERS), ("nll", F.nll_loss, LABELS),
        ("bce_with_logits", F.binary_cross_entropy_with_logits, BITS),
        ("poisson_nll", F.poisson_nll_loss, COUNTS),
        ("soft_margin", F.soft_margin_loss, 2 * BITS - 1),
        ("kl_div", lambda z, y: F.kl_div(z, y, reduction="batchmean"), SHARES),
    ],
)  # fmt: skip
def test_names_are_those_of_torch(name, loss, y):
    model = network()
    problem = ls.Problem(model, (X, y), loss=name, batch_size=3)
    assert float(problem.loss()) == pytest.approx(loss(model(X), y).item(), rel=1e-12)


@pytest.mark.parametrize("loss", ["gaussian_nll", nn.GaussianNLLLoss(), F.gaussian_nll_loss])
def test_a_loss_of_three_parts_is_refused_with_the_way_around(loss):
    with pytest.raises(TypeError, match="give a function of both"):
        ls.Problem(network(), (X, NUMBERS), loss=loss)

    def of_both(z, y):
        return F.gaussian_nll_loss(z[:, :1], y, z[:, 1:].exp())

    model, y = network(outputs=2), NUMBERS[:, :1]
    problem = ls.Problem(model, (X, y), loss=of_both, batch_size=3)
    expected = of_both(model(X), y).item()
    assert float(problem.loss()) == pytest.approx(expected, rel=1e-12)


class Moving(nn.Module):
    """A loss of one's own that is a module: its tensors are not those of the caller."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones(C))

    def terms(self, z, y):
        return (self.scale * (z - y) ** 2).sum(1)

    def gradient(self, z, y):
        return 2 * self.scale * (z - y)

    def hessian_vector_product(self, z, y, v):
        return 2 * self.scale * v


def test_a_module_with_derivatives_is_not_changed():
    loss = Moving()
    problem = ls.Problem(network(), (X, NUMBERS), loss=loss)
    assert loss.scale.dtype == torch.float32
    assert problem.loss_terms.scale.dtype == torch.float64


def test_binary_labels_may_be_whole_numbers():
    model = network(outputs=1)
    problem = ls.Problem(model, (X, LABELS.clamp(max=1)), loss="bce_with_logits")
    y = LABELS.clamp(max=1)[:, None].double()
    expected = F.binary_cross_entropy_with_logits(model(X), y)
    assert float(problem.loss()) == pytest.approx(expected.item(), rel=1e-12)
