"""What is known of FSDP2 from inside: no other file touches what ``fully_shard`` keeps there."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from landscope.distributed import Ranks


def fsdp_modules(model: nn.Module) -> list[Any]:
    """The modules that ``fully_shard`` was called on, the outermost first."""
    if "torch.distributed.fsdp" not in sys.modules:  # a second to import, and not imported so far
        return []
    from torch.distributed.fsdp import FSDPModule

    return [module for module in model.modules() if isinstance(module, FSDPModule)]


def reshard(model: nn.Module) -> None:
    """Register the sharded parameters, where a forward pass has left gathered ones."""
    for module in fsdp_modules(model):
        module.reshard()


def parameter_groups(model: nn.Module) -> Iterator[Any]:
    """FSDP's own record of the parameters that are gathered together."""
    for module in fsdp_modules(model):
        state = module._get_fsdp_state()
        groups = getattr(state, "_fsdp_param_groups", None)
        yield from filter(None, [state._fsdp_param_group] if groups is None else groups)


def placements_of(model: nn.Module) -> dict[str, str]:
    """How each parameter lies that is a DTensor, by name; call `reshard` before.

    Returns
    -------
    dict of str
        ``"fsdp"`` for rows over a one-dimensional mesh, ``"hsdp"`` where those are also replicated
        over another dimension, and the placements themselves for anything else.
    """
    if "torch.distributed.tensor" not in sys.modules:
        return {}
    from torch.distributed.tensor import DTensor, Replicate, Shard

    managed = {
        id(parameter.sharded_param)
        for group in parameter_groups(model)
        for parameter in group.fsdp_params
    }
    found = {}
    for name, parameter in model.named_parameters():
        if not isinstance(parameter, DTensor):
            continue
        kinds = [type(placement) for placement in parameter.placements]
        by_rows = parameter.placements[-1] == Shard(0) and id(parameter) in managed
        if by_rows and kinds == [Shard]:
            found[name] = "fsdp"
        elif by_rows and kinds == [Replicate, Shard]:
            found[name] = "hsdp"
        else:
            found[name] = f"{parameter.placements} on a mesh of {parameter.device_mesh.ndim}"
    return found


def check_placements(model: nn.Module, accepted: tuple[str, ...]) -> dict[str, str]:
    """Refuse parameters that lie in another way; how each of them lies.

    Raises
    ------
    ValueError
        Naming the parameter and its placements.
    """
    found = placements_of(model)
    for name, placement in found.items():
        if placement not in accepted:
            shown = {"hsdp": "(Replicate(), Shard(dim=0))"}.get(placement, placement)
            raise ValueError(
                f"model has the DTensor parameter {name!r} placed {shown}; accepted are parameters "
                "that fully_shard has cut along dimension 0 over a one-dimensional mesh (no tensor "
                "parallelism)"
            )
    return found


def check_reduces(model: nn.Module) -> None:
    """Refuse a model in the midst of an accumulation of gradients.

    Raises
    ------
    ValueError
        Saying what to call.
    """
    if not all(group.reduce_grads for group in parameter_groups(model)):
        raise ValueError(
            "model accumulates gradients without summing them over processes; measure after a "
            "step, with model.set_requires_gradient_sync(True)"
        )


def divisors(model: nn.Module) -> dict[int, float]:
    """What FSDP divides the sum of each parameter's gradients by, by the parameter's id."""
    return {
        id(parameter.sharded_param): float(
            group.gradient_divide_factor or parameter.sharded_param.device_mesh.size()
        )
        for group in parameter_groups(model)
        for parameter in group.fsdp_params
    }


def mixed_dtypes(model: nn.Module) -> set[torch.dtype]:
    """The dtypes of the model's `MixedPrecisionPolicy` for parameters and sums of gradients."""
    policies = [parameter.mp_policy for g in parameter_groups(model) for parameter in g.fsdp_params]
    named = {dtype for policy in policies for dtype in (policy.param_dtype, policy.reduce_dtype)}
    return {dtype for dtype in named if dtype is not None}


def reset(model: nn.Module) -> None:
    """Forget a pass that an error has ended in its midst, and register the sharded parameters."""
    for module in fsdp_modules(model):
        if not module._get_fsdp_state()._is_root:
            continue
        if hasattr(module, "reset_iter_state"):
            module.reset_iter_state()
        else:
            _reset_in_old_torch(module)


def _reset_in_old_torch(root: nn.Module) -> None:
    """The same for torch 2.9, which forgets no pass by itself."""
    states = [module._get_fsdp_state() for module in fsdp_modules(root)]
    idle = type(states[0]._training_state).IDLE
    for state in states:
        state._modules_to_run_forward.clear()
        state._training_state = idle
    for group in parameter_groups(root):
        if group._all_gather_result is not None:
            group.wait_for_unshard()
        group._post_reduce_event = group._all_reduce_state = None
        group._training_state = idle
        group._to_sharded()
        for parameter in group.fsdp_params:
            parameter.sharded_param.grad = None
            parameter.unsharded_accumulated_grad = None
    passes, exchanges = states[0]._state_ctx, states[0]._comm_ctx
    exchanges.post_forward_order.clear()
    exchanges.all_gather_state = exchanges.reduce_scatter_state = None
    passes.iter_forward_root = None
    passes.post_backward_final_callback_queued = False


class WatchedCollective:
    """FSDP's all-gather or reduce-scatter, before which all processes say that they are well.

    One that has failed says so in its place, and all leave the pass there together.

    Parameters
    ----------
    collective : AllGather or ReduceScatter
        FSDP's own, or the user's.
    ranks : Ranks
        The processes.
    device : torch.device
        Where they exchange.
    """

    def __init__(self, collective: Any, ranks: Ranks, device: torch.device) -> None:
        self.collective, self.ranks, self.device = collective, ranks, device

    def allocate(self, *size: Any, **form: Any) -> Tensor:
        """Memory for what is exchanged."""
        memory: Tensor = self.collective.allocate(*size, **form)
        return memory

    def __call__(self, *tensors: Any, async_op: bool = False, **named: Any) -> None:
        """Exchange, and wait for the end in the present stream."""
        self.ranks.agree(None, self.device)
        self.ranks.foreign(lambda: self.collective(*tensors, async_op=True, **named))


@contextmanager
def watched(model: nn.Module, ranks: Ranks, device: torch.device) -> Iterator[None]:
    """All exchanges of a model's passes watched, so that no process waits for one that failed."""
    kinds = ("_all_gather_comm", "_reduce_scatter_comm")
    before = [
        (group, kind, getattr(group, kind)) for group in parameter_groups(model) for kind in kinds
    ]
    for group, kind, collective in before:
        setattr(group, kind, WatchedCollective(collective, ranks, device))
    try:
        yield
    finally:
        for group, kind, collective in before:
            setattr(group, kind, collective)
