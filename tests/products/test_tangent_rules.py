"""Each rule of differentiation, in a small network, against double backward in float64."""

import warnings

import pytest
import torch
from torch import nn

import landscope as ls
from tests.reference.dense import relative_error

IMAGES = (3, 2, 6, 6)
CURVED = {
    "celu": nn.CELU(),
    "elu": nn.ELU(),
    "gelu": nn.GELU(),
    "gelu of tanh": nn.GELU(approximate="tanh"),
    "hardswish": nn.Hardswish(),
    "hardtanh": nn.Hardtanh(),
    "leaky_relu": nn.LeakyReLU(),
    "log_sigmoid": nn.LogSigmoid(),
    "mish": nn.Mish(),
    "relu": nn.ReLU(),
    "relu6": nn.ReLU6(),
    "selu": nn.SELU(),
    "sigmoid": nn.Sigmoid(),
    "silu": nn.SiLU(),
    "softplus": nn.Softplus(),
    "softsign": nn.Softsign(),
    "tanh": nn.Tanh(),
    "softmax": nn.Softmax(1),
    "log_softmax": nn.LogSoftmax(1),
    "rms_norm": nn.RMSNorm(6),
    "layer_norm": nn.LayerNorm([6, 6]),
    "layer_norm without weights": nn.LayerNorm(6, elementwise_affine=False),
    "group_norm": nn.GroupNorm(2, 4),
    "instance_norm": nn.InstanceNorm2d(4, affine=True),
    "batch_norm": nn.BatchNorm2d(4).eval(),
    "avg_pool": nn.AvgPool2d(2),
    "adaptive_pool": nn.AdaptiveAvgPool2d(2),
    "max_pool": nn.MaxPool2d(3, stride=2, padding=1),
    "strided": nn.Conv2d(4, 4, 3, stride=2, padding=1),
    "dilated in groups": nn.Conv2d(4, 4, 3, dilation=2, groups=2),
    "transposed": nn.ConvTranspose2d(4, 2, 3, stride=2),
    "upsampled": nn.Upsample(scale_factor=2),
    "bilinear": nn.Upsample(scale_factor=2, mode="bilinear"),
    "padded": nn.ZeroPad2d(1),
    "reflected": nn.ReflectionPad2d(1),
    "shuffled": nn.PixelShuffle(2),
    "unfolded": nn.Unfold(2),
}


class Function(nn.Module):
    """Any function of an activation, between two layers."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


ARITHMETIC = {
    "quotient": lambda x: x / (1 + x.square()),
    "power": lambda x: (1 + x.square()) ** 0.7,
    "square root": lambda x: (1 + x * x).sqrt(),
    "exponential": lambda x: torch.exp(-x) + torch.log1p(x.square()),
    "sine": lambda x: torch.sin(x) * torch.cos(x),
    "where": lambda x: torch.where(x > 0, x.square(), x),
    "gathered": lambda x: torch.cat([x[:, 1:], x[:, :1]], 1) * x,
    "indexed": lambda x: x[:, [1, 0, 2, 2]] * x,
    "written": lambda x: (
        x.movedim(1, 0).index_put((torch.tensor([3, 0]),), x[:, 1].square()).movedim(0, 1)
    ),
    "stacked": lambda x: torch.stack([x, x.flip(1)], 1).mean(1) * x,
    "split": lambda x: x.chunk(2, 1)[0] * x.chunk(2, 1)[1],
    "centred": lambda x: (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True),
    "product": lambda x: x.flatten(2) @ x.flatten(2).transpose(1, 2),
    "einsum": lambda x: torch.einsum("nchw,nkhw->nck", x, x),
    "clamped": lambda x: x.clamp(-0.1, 0.2) * x,
    "norm": lambda x: x / x.flatten(1).norm(dim=1)[:, None, None, None],
    "in place": lambda x: (x * 2).mul_(x).add_(1),
}


def problem_with(layer, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first, data = nn.Conv2d(2, 4, 3, padding=1), torch.randn(IMAGES)
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
        network = nn.Sequential(first, layer, nn.Flatten(), nn.LazyLinear(3)).double()
        network(data.double())
    return ls.Problem(network, (data.double(), torch.tensor([0, 1, 2])), **options)


def assert_linearized_equals_double_backward(problem, operator):
    v = torch.randn(problem.num_params, dtype=torch.float64, generator=torch.Generator())
    expected = getattr(ls, operator)(problem, method="double_backward", self_check=False) @ v
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing rule would be said
        A = getattr(ls, operator)(problem, method="linearized", self_check=False)
        assert relative_error(A @ v, expected) < 1e-11
    assert A.method == "linearized"
    assert A.explain().side_by_side
    assert relative_error((A @ torch.stack([v, v.flip(0)], 1))[:, 0], expected) < 1e-11


# Tangents and cotangents of first order, all of GaussNewton, are in those of the Hessian too.
@pytest.mark.parametrize(
    "operator", ["Hessian", pytest.param("GaussNewton", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", [*CURVED, *ARITHMETIC])
def test_linearized_equals_double_backward(name, operator):
    layer = CURVED[name] if name in CURVED else Function(ARITHMETIC[name])
    assert_linearized_equals_double_backward(problem_with(layer), operator)


@pytest.mark.parametrize("operator", ["Hessian", "GaussNewton"])
@pytest.mark.parametrize("are_kept", [False, True])
def test_batch_norm_of_the_batch(are_kept, operator):
    """Statistics that the layer keeps are neither read nor in the way."""
    kept = (torch.zeros(4).double(), torch.ones(4).double()) if are_kept else (None, None)
    layer = Function(lambda x: nn.functional.batch_norm(x, *kept, training=True))
    problem = problem_with(layer, batch_statistics=True)
    assert_linearized_equals_double_backward(problem, operator)
