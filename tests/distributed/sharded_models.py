"""Small models that ``fully_shard`` cuts up, and what is measured of the plain ones."""

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.nn import functional as F


def perceptron(dtype=torch.float64, width=7, scale=1.0):
    """Of 7 rows and 3: unequal shards, and none on the last of four processes."""
    torch.manual_seed(0)
    block = nn.Sequential(nn.Linear(width, 6), nn.Tanh(), nn.Linear(6, width), nn.Tanh())
    model = nn.Sequential(nn.Linear(5, width), nn.Tanh(), block, nn.Linear(width, 3)).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    return model


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x):
        q, k, v = (
            part.unflatten(-1, (2, -1)).transpose(1, 2)
            for part in self.qkv(self.norms[0](x)).chunk(3, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(-2)
        x = x + self.out(mixed)
        return x + self.mlp(self.norms[1](x))


class Transformer(nn.Module):
    """Predicts a token of 11; the head has the weights of the embedding."""

    def __init__(self, width=8):
        super().__init__()
        self.embedding = nn.Embedding(11, width)
        self.blocks = nn.ModuleList([Block(width), Block(width)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 11, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def transformer(dtype=torch.float64):
    torch.manual_seed(1)
    return Transformer().to(dtype)


def points(dtype=torch.float64, count=30):
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(count, 5, generator=generator, dtype=torch.float64)
    return inputs.to(dtype), torch.arange(count) % 3


def sentences():
    """Targets of which some are no loss term."""
    tokens = torch.randint(11, (12, 6), generator=torch.Generator().manual_seed(3))
    return tokens, torch.where(tokens == 4, -100, tokens.roll(-1, 1))


def differentiate_twice(model, data):
    """The gradient of the mean cross-entropy, and the product of its Hessian with a vector."""
    parameters = list(model.parameters())
    loss = F.cross_entropy(model(data[0]), data[1])
    pieces = torch.autograd.grad(loss, parameters, create_graph=True)
    gradient = torch.cat([piece.flatten() for piece in pieces])

    def product(vector):
        found = torch.autograd.grad(gradient, parameters, vector, retain_graph=True)
        return torch.cat([piece.flatten() for piece in found])

    return gradient.detach(), product


def shard(model, group, **how):
    """Its blocks, then the whole."""
    mesh = DeviceMesh.from_group(group, "cpu")
    for block in getattr(model, "blocks", None) or [model[2]]:
        fully_shard(block, mesh=mesh, **how)
    return fully_shard(model, mesh=mesh, **how)


def held(problem, vector):
    """The entries of a whole vector that a process holds."""
    return torch.cat([vector[:0], *(vector[start:stop] for start, stop in problem.shards.ranges)])


def joined(parts):
    """The whole vector from (ranges, entries) of all processes."""
    whole = torch.empty(sum(len(entries) for _, entries in parts), dtype=parts[0][1].dtype)
    for ranges, entries in parts:
        lengths = [stop - start for start, stop in ranges]
        for (start, stop), piece in zip(ranges, entries.split(lengths), strict=True):
            whole[start:stop] = piece
    return whole
