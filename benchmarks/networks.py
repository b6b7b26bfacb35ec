"""The networks that are measured, with their data."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from landscope.zoo import DataNotFoundError, load_dataset, make_network


class TokenCrossEntropy(nn.CrossEntropyLoss):
    """Cross-entropy of logits with any leading shape, which peers hand on as they are."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return super().forward(logits.flatten(0, -2), targets.flatten())


@dataclass(frozen=True)
class Workload:
    """A model and its batches."""

    name: str
    model: nn.Module
    batches: list[tuple[Tensor, Tensor]]
    criterion: nn.Module
    choose_attention: bool = False
    """Whether peers are told to use the attention backend that has two derivatives."""

    @property
    def num_params(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def copy(self) -> "Workload":
        """Its own model, so that no competitor sees what another left in ``.grad``."""
        return replace(self, model=copy.deepcopy(self.model))

    def to(self, device: str | torch.device, dtype: torch.dtype = torch.float32) -> "Workload":
        batches = [
            (x.to(device, dtype) if x.is_floating_point() else x.to(device), y.to(device))
            for x, y in self.batches
        ]
        return replace(self, model=copy.deepcopy(self.model).to(device, dtype), batches=batches)

    def vector(self, seed: int, columns: int | None = None) -> Tensor:
        """Gaussian, of length 1 on average."""
        shape = (self.num_params,) if columns is None else (self.num_params, columns)
        vector = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        return (vector / self.num_params**0.5).to(self.device)


class GPT(nn.Module):
    """A decoder of blocks x + attention(LN x), x + MLP(LN x), with GELU and learned positions."""

    def __init__(self, blocks: int, width: int, heads: int, vocabulary: int, context: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(GPTBlock(width, heads) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        return self.head(self.norm(self.blocks(self.tokens(tokens) + self.positions(places))))


class GPTBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mixed, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.mixed(self.norm_1(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = mixed.permute(2, 0, 3, 1, 4)
        attended = scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm_2(x))


def small_cnn(num_examples: int = 512, num_batches: int = 1) -> Workload:
    """19,466 parameters."""
    model = make_network("small_cnn", (3, 32, 32))
    return _images("SmallCNN", model, (3, 32, 32), num_examples, num_batches)


def mlp(num_examples: int = 512, num_batches: int = 1) -> Workload:
    """855,050 parameters."""
    model = make_network("fully_connected", (3072,), nonlinearity="tanh")
    return _images("MLP", model, (3072,), num_examples, num_batches)


def resnet20(num_examples: int = 256, num_batches: int = 1) -> Workload:
    """269,722 parameters."""
    model = make_network("resnet20", (3, 32, 32), normalization="group")
    return _images("ResNet-20", model, (3, 32, 32), num_examples, num_batches)


def gpt(num_sequences: int = 4, num_batches: int = 1) -> Workload:
    """4.1 million parameters, 128 tokens per sequence."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = GPT(blocks=5, width=256, heads=4, vocabulary=256, context=128)
    return _texts("GPT", model, 256, 128, num_sequences, num_batches)


def resnet50(num_examples: int = 32, num_batches: int = 1) -> Workload:
    """25.6 million parameters."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = torchvision.models.resnet50(norm_layer=partial(nn.GroupNorm, 32))
    return _images("ResNet-50", model, (3, 224, 224), num_examples, num_batches, 1000)


def gpt2(num_sequences: int = 2, num_batches: int = 1) -> Workload:
    """163 million parameters (the head is not tied), 512 tokens per sequence."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = GPT(blocks=12, width=768, heads=12, vocabulary=50257, context=1024)
    return _texts("GPT-2 size", model, 50257, 512, num_sequences, num_batches)


FOUR: dict[str, Callable[..., Workload]] = {
    "SmallCNN": small_cnn,
    "MLP": mlp,
    "GPT": gpt,
    "ResNet-20": resnet20,
}
LARGE: dict[str, Callable[..., Workload]] = {"ResNet-50": resnet50, "GPT-2 size": gpt2}


def trained_cnn(num_examples: int, num_batches: int, steps: int = 300) -> Workload:
    """SmallCNN on real images after some steps of SGD, so that its spectrum has its outliers.

    Fashion-MNIST if it is at hand, else the digits that scikit-learn carries.
    """
    try:
        data = load_dataset("fashion_mnist", max_examples=10_000, download=False)
    except DataNotFoundError:
        data = load_dataset("digits")
    model = make_network("small_cnn", data.input_shape)
    _train(model, *data.train, steps)
    x, y = data.train_inputs[:num_examples], data.train_targets[:num_examples]
    batches = list(zip(x.chunk(num_batches), y.chunk(num_batches), strict=True))
    return Workload(f"SmallCNN on {data.title}", model, batches, TokenCrossEntropy())


def tiny_cnn(num_examples: int, width: float, steps: int = 300) -> Workload:
    """A narrow SmallCNN on 8 × 8 digits after some steps: all its spectrum can be had."""
    data = load_dataset("digits")
    model = make_network("small_cnn", data.input_shape, width=width)
    _train(model, *data.train, steps)
    batch = data.train_inputs[:num_examples], data.train_targets[:num_examples]
    return Workload(f"SmallCNN of width {width:g} on digits", model, [batch], TokenCrossEntropy())


def _train(model: nn.Module, inputs: Tensor, targets: Tensor, steps: int) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        chosen = torch.randint(0, len(targets), (64,), generator=generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs[chosen]), targets[chosen]).backward()
        optimizer.step()
    optimizer.zero_grad()


def _images(
    name: str,
    model: nn.Module,
    shape: tuple[int, ...],
    num_examples: int,
    num_batches: int,
    num_classes: int = 10,
) -> Workload:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(num_examples, *shape, generator=generator)
    y = torch.randint(0, num_classes, (num_examples,), generator=generator)
    batches = list(zip(x.chunk(num_batches), y.chunk(num_batches), strict=True))
    return Workload(name, model, batches, TokenCrossEntropy())


def _texts(
    name: str,
    model: nn.Module,
    vocabulary: int,
    length: int,
    num_sequences: int,
    num_batches: int,
) -> Workload:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, vocabulary, (num_sequences, length + 1), generator=generator)
    x, y = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
    batches = list(zip(x.chunk(num_batches), y.chunk(num_batches), strict=True))
    return Workload(name, model, batches, TokenCrossEntropy(), choose_attention=True)
