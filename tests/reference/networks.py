"""Small float64 networks that between them meet every trap, each with its dense reference."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.func import functional_call  # substitutes parameters, differentiates nothing
from torch.nn import functional

from tests.reference.dense import Dense

IGNORE = -100


class ConvNet(nn.Module):
    """Convolutions with ReLU, max pooling and GELU, 1 × 6 × 6 images to 3 logits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 3, 3, padding=1)
        self.conv2 = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        return self.head(functional.gelu(self.conv2(x)).mean(dim=(2, 3)))


class Attention(nn.Module):
    """One causal block: embedding, LayerNorm, attention, residual; 7 tokens to 7 logits each."""

    def __init__(self, vocabulary: int = 7, width: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(0.1 * torch.randn(8, width))
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens) + self.position[: tokens.shape[1]]
        # Two heads: (B, T, 3·W) -> three of (B, 2, T, W/2).
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return self.head(functional.gelu(x))


class Tied(nn.Module):
    """The embedding is the output head: one parameter used twice."""

    def __init__(self, vocabulary: int = 5, width: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.hidden = nn.Linear(width, width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(torch.tanh(self.hidden(self.embedding(tokens).mean(dim=1))))


class Unused(nn.Module):
    """A parameter, and a whole layer, that the logits never see."""

    def __init__(self) -> None:
        super().__init__()
        self.idle = nn.Parameter(torch.randn(3))
        self.first = nn.Linear(4, 5)
        self.spare = nn.Linear(5, 2)
        self.last = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x)))


def mlp() -> nn.Module:
    """Tanh, two hidden layers."""
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 6), nn.Tanh(), nn.Linear(6, 4))


def layer_norm_mlp() -> nn.Module:
    """LayerNorm with affine weights, where nested Jacobians go wrong in torch."""
    net = nn.Sequential(
        nn.Linear(5, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 6), nn.LayerNorm(6), nn.Tanh(),
        nn.Linear(6, 3),
    )  # fmt: skip
    for module in (net[1], net[4]):
        nn.init.normal_(module.weight, 1.0, 0.3)
        nn.init.normal_(module.bias, 0.0, 0.3)
    return net


def group_norm_net() -> nn.Module:
    """GroupNorm between convolutions."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.GELU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
    )  # fmt: skip


def batch_norm_net() -> nn.Module:
    """BatchNorm in eval mode, with statistics that are not 0 and 1."""
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Tanh(), nn.AvgPool2d(3),
        nn.Flatten(), nn.Linear(12, 5), nn.BatchNorm1d(5), nn.GELU(), nn.Linear(5, 3),
    )  # fmt: skip
    for module in (net[1], net[6]):
        module.running_mean.normal_(0.0, 0.5)
        module.running_var.uniform_(0.5, 2.0)
        nn.init.normal_(module.weight, 1.0, 0.3)
    return net


class Transformer(nn.Module):
    """torch's own encoder layer, whose eval mode has a fused path without derivatives."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(4, 2, dim_feedforward=5, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x.unflatten(1, (3, 4))).mean(dim=1))


class Recurrent(nn.Module):
    """An LSTM, whose two biases share the storage of their Jacobians."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, 3, batch_first=True)
        self.head = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x.unflatten(1, (3, 2)))[0][:, -1])


def without_biases() -> nn.Module:
    """ReLU without biases: some examples die, and their logits have no gradient."""
    return nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 3, bias=False))


Inputs = Callable[[torch.Generator], tuple[Tensor, Tensor]]


def vectors(num: int, width: int, classes: int) -> Inputs:
    """Gaussian inputs and uniform labels."""

    def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x = torch.randn(num, width, dtype=torch.float64, generator=generator)
        return x, torch.randint(classes, (num,), generator=generator)

    return draw


def images(num: int, classes: int) -> Inputs:
    """Gaussian 1 × 6 × 6 images and uniform labels."""

    def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x = torch.randn(num, 1, 6, 6, dtype=torch.float64, generator=generator)
        return x, torch.randint(classes, (num,), generator=generator)

    return draw


def sequences(num: int, length: int, vocabulary: int, padding: bool) -> Inputs:
    """Tokens and a label for each, or one label for a sequence; with padding, half ignored."""

    def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        tokens = torch.randint(vocabulary, (num, length), generator=generator)
        if not padding:
            return tokens, torch.randint(vocabulary, (num,), generator=generator)
        labels = torch.randint(vocabulary, (num, length), generator=generator)
        labels[torch.rand(num, length, generator=generator) < 0.5] = IGNORE
        labels[0] = torch.arange(length) % vocabulary
        return tokens, labels

    return draw


@dataclass(frozen=True)
class Case:
    """A network, its data and its loss."""

    name: str
    build: Callable[[], nn.Module]
    draw: Inputs
    loss: str = "cross_entropy"

    def model(self) -> nn.Module:
        """A fresh copy: float64, eval mode, the same weights every time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            return self.build().double().eval()

    def data(self) -> tuple[Tensor, Tensor]:
        """Inputs and targets, the same every time."""
        return self.draw(torch.Generator().manual_seed(11))

    def dense(self, weight_decay: float = 0.0) -> Dense:
        """The dense reference at the model's weights."""
        return dense_reference(self.model(), *self.data(), self.loss, weight_decay=weight_decay)


def mse(z: Tensor, y: Tensor) -> Tensor:
    """½ ‖z − y‖² of each example."""
    return (z - y).square().sum(dim=1) / 2


def dense_reference(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    loss: str | nn.CrossEntropyLoss = "cross_entropy",
    *,
    names: list[str] | None = None,
    weight_decay: float = 0.0,
) -> Dense:
    """The reference for a module and one batch of all its data.

    ``names`` are the parameters that move (default: all); the others keep their values.
    """
    parameters = {name: p.detach().clone() for name, p in model.named_parameters()}
    state = parameters | {name: b.detach().clone() for name, b in model.named_buffers()}
    moving = {name: p for name, p in parameters.items() if names is None or name in names}
    sizes = [p.numel() for p in moving.values()]

    regression = loss == "mse"
    valid = torch.ones(len(targets), dtype=torch.bool) if regression else targets != IGNORE
    labels = targets[valid]

    def logits(w: Tensor) -> Tensor:
        parts = zip(moving.items(), w.split(sizes), strict=True)
        moved = {name: part.view_as(p) for (name, p), part in parts}
        return functional_call(model, state | moved, (inputs,))[valid]

    def terms(z: Tensor) -> Tensor:
        return (
            mse(z, labels) if regression else functional.cross_entropy(z, labels, reduction="none")
        )

    def mean(z: Tensor) -> Tensor:
        return loss(z, labels) if isinstance(loss, nn.CrossEntropyLoss) else terms(z).mean()

    point = torch.cat([p.reshape(-1) for p in moving.values()])
    return Dense(point, logits, mean, terms, labels, weight_decay)


def regression(num: int, width: int, outputs: int) -> Inputs:
    """Gaussian inputs and Gaussian targets."""

    def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x = torch.randn(num, width, dtype=torch.float64, generator=generator)
        return x, torch.randn(num, outputs, dtype=torch.float64, generator=generator)

    return draw


CASES = {
    case.name: case
    for case in (
        Case("conv", ConvNet, images(10, 3)),
        Case("mlp", mlp, vectors(12, 5, 4)),
        Case("layer_norm", layer_norm_mlp, vectors(10, 5, 3)),
        Case("group_norm", group_norm_net, images(9, 3)),
        Case("attention", Attention, sequences(4, 6, 7, padding=True)),
        Case("tied", Tied, sequences(9, 4, 5, padding=False)),
        Case("unused", Unused, vectors(8, 4, 3)),
        Case("batch_norm", batch_norm_net, images(10, 3)),
        Case("transformer", Transformer, vectors(7, 12, 3)),
        Case("lstm", Recurrent, vectors(8, 6, 3)),
        Case("mse", mlp, regression(9, 5, 4), loss="mse"),
    )
}


@cache
def dense(name: str) -> Dense:
    """The dense reference of a case, computed once for all tests."""
    return CASES[name].dense()


def function_logits(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
    """A model that is a function of (parameters, inputs)."""
    return torch.tanh(x @ parameters["first"]) @ parameters["second"] + parameters["bias"]


def function_parameters() -> dict[str, Tensor]:
    """The weights of :func:`function_logits`: 4 inputs, 5 hidden units, 3 logits."""
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    return {"first": normal(4, 5), "second": normal(5, 3), "bias": normal(3)}
