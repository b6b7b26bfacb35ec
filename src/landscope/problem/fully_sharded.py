"""A model that ``fully_shard`` (FSDP2) has cut up, with its local rows as one flat vector."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from landscope.distributed import Ranks, Shards
from landscope.problem import fsdp


class FullySharded:
    """A model whose parameters `fully_shard` has cut into rows, some on each process.

    Parameters
    ----------
    module : nn.Module
        The model, which is used in place.

    Attributes
    ----------
    ranks : Ranks
        The processes that hold it.
    shards : Shards
        Which rows of each parameter that requires a gradient are held here.
    dtype, device
        Of the parameters.
    mesh_device : torch.device
        Where the processes exchange.

    Raises
    ------
    TypeError, ValueError
        For a model that is not sharded, or sharded in another way.
    """

    def __init__(self, module: Any) -> None:
        if not isinstance(module, nn.Module):
            raise TypeError(f"model is a {type(module).__name__}; it must be an nn.Module")
        fsdp.reshard(module)
        placed = fsdp.check_placements(module, accepted=("fsdp",))
        if not placed:
            raise TypeError(
                "model is not sharded: no parameter was cut by fully_shard; call Problem(model, "
                "data, group=...) for it"
            )
        self.module = module
        self._check_parameters(placed)
        named = self._parameters()
        mesh = next(iter(named.values())).device_mesh
        self.ranks = Ranks(mesh.get_group())
        self.shards = Shards.of_tensors(
            [(name, tuple(parameter.shape)) for name, parameter in named.items()], self.ranks
        )
        local = self._local()[0]
        self.dtype, self.device = local.dtype, local.device
        self.mesh_device = torch.empty(0, device=mesh.device_type).device

    @property
    def compute_dtypes(self) -> set[torch.dtype]:
        """The dtypes in which FSDP gathers parameters and sums gradients."""
        return {self.dtype} | fsdp.mixed_dtypes(self.module)

    def vector(self) -> Float[Tensor, " d"]:
        """The rows held here, one parameter after the other (a copy)."""
        fsdp.reshard(self.module)
        return torch.cat([rows.reshape(-1) for rows in self._local()])

    @property
    def names(self) -> list[str]:
        """Of all parameters and buffers."""
        return [name for name, _ in (*self.module.named_parameters(), *self.module.named_buffers())]

    def gathered(
        self, names: Collection[str], vector: Float[Tensor, " d"]
    ) -> Iterator[tuple[str, Tensor]]:
        """Whole tensors by name, one after the other, those that span weight space at a point."""
        fsdp.reshard(self.module)
        held = dict(
            zip(self._parameters(), vector.split([t.numel() for t in self._local()]), strict=True)
        )
        for name, tensor in (*self.module.named_parameters(), *self.module.named_buffers()):
            if name not in names:
                continue
            if not hasattr(tensor, "to_local"):
                yield name, tensor
                continue
            local = tensor.to_local().detach()
            rows = held[name].view_as(local) if name in held else local
            yield name, self.ranks.joined(rows.to(self.mesh_device), len(tensor))

    @contextmanager
    def at(self, vector: Float[Tensor, " d"]) -> Iterator[None]:
        """The model at another point, for passes in which no process waits for one that failed.

        Weights, gradients, buffers and modes are as before afterwards, also after an error.
        """
        own = self.vector()
        grads = [(parameter, parameter.grad) for parameter in self._parameters().values()]
        buffers = [(buffer, buffer.clone()) for buffer in self.module.buffers()]
        modes = [(module, module.training) for module in self.module.modules()]
        self._forget_gradients()
        self._write(vector)
        try:
            with fsdp.watched(self.module, self.ranks, self.mesh_device):
                yield
        except Exception:
            fsdp.reset(self.module)
            raise
        finally:
            fsdp.reshard(self.module)
            self._write(own)
            for parameter, grad in grads:
                parameter.grad = grad
            with torch.no_grad():
                for buffer, value in buffers:
                    buffer.copy_(value)
            for module, training in modes:
                module.training = training

    def taken_gradient(self) -> Float[Tensor, " d"]:
        """The sum of all processes' gradients since the last call, at the rows held here."""
        fsdp.reshard(self.module)
        parts = []
        divisors = fsdp.divisors(self.module)
        for parameter, rows in zip(self._parameters().values(), self._local(), strict=True):
            grad = torch.zeros_like(rows) if parameter.grad is None else parameter.grad.to_local()
            parts.append(grad.reshape(-1) * divisors[id(parameter)])
        self._forget_gradients()
        return torch.cat(parts)

    def _parameters(self) -> dict[str, Any]:
        """Those that span weight space; the model must be resharded."""
        return {name: p for name, p in self.module.named_parameters() if p.requires_grad}

    def _local(self) -> list[Tensor]:
        return [parameter.detach().to_local() for parameter in self._parameters().values()]

    def _forget_gradients(self) -> None:
        for parameter in self._parameters().values():
            parameter.grad = None

    @torch.no_grad()
    def _write(self, vector: Float[Tensor, " d"]) -> None:
        """Write into the rows held here."""
        local = self._local()
        for rows, part in zip(local, vector.split([rows.numel() for rows in local]), strict=True):
            rows.copy_(part.view_as(rows))

    def _check_parameters(self, placed: dict[str, str]) -> None:
        named = self._parameters()
        if not named:
            raise ValueError("model has no parameter that requires a gradient")
        first = next(iter(named))
        for name, parameter in self.module.named_parameters():
            if name not in placed:
                raise ValueError(
                    f"model has the parameter {name!r}, which is whole on each process; call "
                    "fully_shard on the blocks and then on the whole model"
                )
            if name in named and parameter.dtype not in (torch.float32, torch.float64):
                raise ValueError(
                    f"model has the parameter {name!r} in {parameter.dtype}; sharded parameters "
                    "must be float32 or float64 (FSDP's MixedPrecisionPolicy may compute in less)"
                )
            for what in ("dtype", "device_mesh"):
                if name in named and getattr(parameter, what) != getattr(named[first], what):
                    raise ValueError(
                        f"model has parameters of several kinds: {first!r} has {what} "
                        f"{getattr(named[first], what)}, {name!r} {getattr(parameter, what)}"
                    )
        fsdp.check_reduces(self.module)
