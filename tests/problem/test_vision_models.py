"""Models of torchvision as they are: products against double backward, BatchNorm in both modes."""

import warnings

import pytest
import torch
import torchvision
from torch.nn.functional import cross_entropy

import landscope as ls
from tests.reference.dense import relative_error

QUICK = ("shufflenet_v2_x0_5", "squeezenet1_1")
SLOW = (
    "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet",
    "inception_v3", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small",
    "regnet_x_400mf", "regnet_y_400mf", "resnet18", "resnet50", "resnext50_32x4d",
    "shufflenet_v2_x1_0", "swin_t", "swin_v2_t", "vit_b_32",
)  # fmt: skip


def make(name):
    options = {"num_classes": 5}
    if name.startswith("vit"):
        options["image_size"] = 64
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torchvision.models.get_model(name, weights=None, **options)


def images(name, count):
    size = 96 if name == "inception_v3" else 64
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, size, size, generator=generator), torch.arange(count) % 5


def double_backward(model, data, vectors):
    """Gradient and Hessian–vector products of the mean loss by torch's reverse mode twice."""
    parameters = list(model.parameters())

    def flat(tensors):
        pairs = zip(tensors, parameters, strict=True)
        return torch.cat([(torch.zeros_like(p) if t is None else t).flatten() for t, p in pairs])

    loss = cross_entropy(model(data[0]), data[1])
    first = flat(torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True))
    products = [
        flat(torch.autograd.grad(first, parameters, v, retain_graph=True, allow_unused=True))
        for v in vectors
    ]
    return first.detach(), products


def written_out(model):
    """The same with the hard sigmoid as a clamp: torch has no second derivative of its own."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, torch.nn.Hardsigmoid):
                clamp = torch.nn.Hardtanh(0, 1)
                setattr(module, name, torch.nn.Sequential(Affine(), clamp))
    return model


class Affine(torch.nn.Module):
    def forward(self, x):
        return x / 6 + 0.5


def check(name):
    model, data = make(name).eval().double(), images(name, 2)
    data = data[0].double(), data[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no fallback to a slower product
        problem = ls.Problem(model, data)
        v = torch.randn(
            problem.num_params, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
        )
        product = ls.Hessian(problem) @ v
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        gradient, (expected,) = double_backward(written_out(model), data, [v])
    assert relative_error(problem.gradient(), gradient) < 1e-10
    # Reverse mode twice is no number at norms of zero (padded windows of Swin v2).
    defined = expected.isfinite()
    assert product.isfinite().all()
    assert defined.double().mean() > 0.5
    assert relative_error(product[defined], expected[defined]) < 1e-9


@pytest.mark.parametrize("name", QUICK)
def test_products_on_small_models(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_products_on_models_of_every_family(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK[:1])
def test_batch_statistics_are_those_of_training_mode(name):
    model, data = make(name).double().train(), images(name, 4)
    data = data[0].double(), data[1]
    problem = ls.Problem(model, data, batch_statistics=True)
    v = torch.ones(problem.num_params, dtype=torch.float64)
    gradient, (expected,) = double_backward(model, data, [v])
    assert relative_error(problem.gradient(), gradient) < 1e-9
    assert relative_error(ls.Hessian(problem) @ v, expected) < 1e-8
