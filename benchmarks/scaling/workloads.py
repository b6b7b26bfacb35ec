"""Small problems on which each way of computing products is measured, on any number of ranks."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard

import landscope as ls
from benchmarks.networks import GPT

VOCABULARY, CONTEXT, SEQUENCES = 256, 64, 8


def decoder() -> tuple[nn.Module, list[nn.Module], tuple[Tensor, Tensor]]:
    """Arithmetic counts: 0.5 million parameters, 512 tokens. Model, its blocks, data."""
    torch.manual_seed(0)
    model = GPT(blocks=2, width=128, heads=4, vocabulary=VOCABULARY, context=CONTEXT)
    tokens = torch.randint(VOCABULARY, (SEQUENCES, CONTEXT + 1))
    return model, list(model.blocks), (tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous())


def wide() -> tuple[nn.Module, list[nn.Module], tuple[Tensor, Tensor]]:
    """Vectors count: 2.4 million parameters, 16 examples."""
    torch.manual_seed(0)
    layers = [nn.Linear(768, 768, bias=False) for _ in range(4)]
    model = nn.Sequential(*(nn.Sequential(layer, nn.Tanh()) for layer in layers))
    return model, list(model), (torch.randn(16, 768), torch.randint(768, (16,)))


Workload = Callable[[], tuple[nn.Module, list[nn.Module], tuple[Tensor, Tensor]]]
WORKLOADS: dict[str, Workload] = {"decoder": decoder, "wide": wide}


def replicated(workload: Workload, group: Any) -> Any:
    """H of data that are spread over ranks, with whole vectors."""
    model, _, data = workload()
    problem = ls.Problem(model, data, group=group, shard=True)
    return ls.Hessian(problem, method="linearized")


def sharded(workload: Workload, group: Any) -> Any:
    """The same with vectors in chunks."""
    return ls.Sharded(replicated(workload, group))


def differences(workload: Workload, group: Any) -> Any:
    """H by differences of gradients of a model that is cut by ``fully_shard``, block by block."""
    model, blocks, data = workload()
    mesh = DeviceMesh.from_group(group, "cpu")
    for block in blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return ls.FiniteDifferenceHessian(ls.ShardedProblem(model, data, shard=True))


OPERATORS: dict[str, Callable[[Workload, Any], Any]] = {
    "replicated": replicated,
    "sharded": sharded,
    "differences": differences,
}
