import pytest
import torch
from torch import nn

from landscope.zoo import NETWORKS, NONLINEARITIES, NORMALIZATIONS, make_network
from landscope.zoo.networks.fully_connected import FullyConnected
from landscope.zoo.networks.resnet20 import ResidualBlock, ResNet20
from landscope.zoo.networks.small_cnn import SmallCNN


def num_params(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32)])
def test_every_network_gives_finite_logits_and_gradients(name, normalization, shape):
    network = make_network(name, shape, 7, normalization=normalization, width=0.5)
    logits = network(torch.randn(4, *shape, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (4, 7)
    logits.square().sum().backward()
    gradients = [p.grad for p in network.parameters()]
    assert all(g is not None and g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_every_nonlinearity_is_used(nonlinearity):
    inputs = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    network = make_network("small_cnn", (1, 8, 8), nonlinearity=nonlinearity)
    linear = make_network("small_cnn", (1, 8, 8), nonlinearity="identity")
    same = torch.equal(network(inputs), linear(inputs))
    assert same == (nonlinearity == "identity")


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (SmallCNN((3, 32, 32)), 448 + 4_640 + 9_248 + 5_130),
        (SmallCNN((1, 8, 8)), 160 + 4_640 + 9_248 + 330),
        (FullyConnected((3, 32, 32)), 855_050),
        # He et al. 2015, Table 6: 0.27 million parameters
        (ResNet20((3, 32, 32)), 269_722),
    ],
)
def test_parameter_counts(network, expected):
    assert num_params(network) == expected


def test_small_cnn_is_the_composition_of_its_layers():
    network = make_network("small_cnn", (1, 8, 8), nonlinearity="tanh").double()
    x = torch.randn(3, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parameters = list(network.parameters())
    features = x
    for weight, bias in zip(parameters[0:6:2], parameters[1:6:2], strict=True):
        features = torch.conv2d(features, weight, bias, padding=1).tanh()
        features = features.unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(-1, -2))
    expected = features.flatten(1) @ parameters[6].T + parameters[7]
    torch.testing.assert_close(network(x), expected, rtol=1e-12, atol=1e-12)


def test_residual_shortcut_takes_every_second_pixel_and_pads_with_zeros():
    block = ResidualBlock(2, 4, 2, "identity", "none")
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
    inputs = torch.arange(32.0).reshape(1, 2, 4, 4)
    outputs = block(inputs)
    torch.testing.assert_close(outputs[:, 1:3], inputs[:, :, ::2, ::2])
    assert not outputs[:, [0, 3]].any()


def test_layer_normalization_of_images_is_over_channels_and_positions():
    network = make_network("small_cnn", (1, 8, 8), normalization="layer")
    features = network.layers[:2](torch.randn(3, 1, 8, 8, generator=torch.Generator()))
    torch.testing.assert_close(features.mean(dim=(1, 2, 3)), torch.zeros(3), atol=1e-6, rtol=0)


def test_width_multiplies_channels():
    assert make_network("small_cnn", (1, 8, 8), width=2.0).layers[0].out_channels == 32
    assert make_network("fully_connected", (6,), width=0.25).layers[1].out_features == 64


def test_seed_gives_the_weights_and_leaves_the_global_state():
    state = torch.get_rng_state()
    first, again, other = (make_network("small_cnn", (1, 8, 8), seed=s) for s in (3, 3, 4))
    assert torch.equal(state, torch.get_rng_state())
    a, b, c = (torch.cat([p.flatten() for p in n.parameters()]) for n in (first, again, other))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        ({"name": "vgg"}, "name is 'vgg'"),
        ({"input_shape": (1, 4, 4)}, "input_shape"),
        ({"input_shape": (64,)}, "input_shape"),
        ({"input_shape": (0, 8, 8)}, "input_shape"),
        ({"num_classes": 1}, "num_classes"),
        ({"nonlinearity": "swosh"}, "nonlinearity is 'swosh'"),
        ({"normalization": "instance"}, "normalization is 'instance'"),
        ({"width": -1.0}, "width"),
        ({"width": float("nan")}, "width"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, culprit):
    with pytest.raises(ValueError, match=culprit):
        make_network(**{"name": "small_cnn", "input_shape": (1, 8, 8), **arguments})
