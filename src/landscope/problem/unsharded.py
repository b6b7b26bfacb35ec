"""A plain copy of a model that ``fully_shard`` (FSDP2) has cut up."""

import copy
from typing import Any, cast

from torch import nn

from landscope.problem.fsdp import (
    check_placements,
    fsdp_modules,
    parameter_groups,
    reshard,
)

FLAGS = ("_is_fsdp_managed_module", "_fsdp_use_orig_params")
"""What FSDP writes into every module for torch.compile."""


def unsharded(model: Any) -> Any:
    """A plain copy of a sharded model, with whole parameters and without FSDP's hooks.

    All processes of the mesh call it together: each parameter is gathered on all of them, by one
    all-gather. The model itself is left as it is, and goes on training.

    Parameters
    ----------
    model : nn.Module
        Any other model, or what is none, is given back itself.

    Raises
    ------
    ValueError
        For a DTensor parameter that is not cut by `fully_shard` alone, such as one of tensor
        parallelism; the sentence names it and its placements.
    """
    if not isinstance(model, nn.Module):
        return model
    reshard(model)
    sharded = check_placements(model, accepted=("fsdp", "hsdp"))
    if not sharded:
        return model
    # What deepcopy finds here it takes for copied: whole parameters in place of sharded ones,
    # modules of the original class, dictionaries without FSDP's hooks and states.
    memo: dict[int, Any] = {}
    for name, parameter in model.named_parameters():
        if name in sharded:
            whole = cast(Any, parameter.detach()).full_tensor().clone()
            memo[id(parameter)] = nn.Parameter(whole, parameter.requires_grad)
    shells = {module: _shell(module) for module in fsdp_modules(model)}
    memo |= {id(module): shell for module, shell in shells.items()}
    for module in shells:
        memo |= {id(state): {} for state in _composable_states(module)}
    for hooks, own in _hooks(model).values():
        memo[id(hooks)] = copy.deepcopy(_without(hooks, own), memo)
    for module, shell in shells.items():
        vars(shell).update(copy.deepcopy(vars(module), memo))
    copied = copy.deepcopy(model, memo)
    for module in copied.modules():
        for flag in FLAGS:
            vars(module).pop(flag, None)
    return copied


def _shell(module: nn.Module) -> nn.Module:
    """An empty module of the class that a module had before `fully_shard`."""
    from torch.distributed.fsdp import FSDPModule

    classes = type(module).__mro__
    original: Any = classes[classes.index(FSDPModule) + 1]
    return cast(nn.Module, original.__new__(original))


def _composable_states(module: nn.Module) -> list[Any]:
    """Where torch's composable parallelisms keep their states in a module."""
    from torch.distributed._composable.contract import REGISTRY_KEY, STATE_KEY

    return [vars(module)[key] for key in (STATE_KEY, REGISTRY_KEY) if key in vars(module)]


def _hooks(model: nn.Module) -> dict[int, tuple[dict[int, Any], set[int]]]:
    """Each dictionary of hooks in which FSDP has some, and their keys."""
    found: dict[int, tuple[dict[int, Any], set[int]]] = {}
    for handle in _handles(model):
        if (hooks := handle.hooks_dict_ref()) is not None:
            found.setdefault(id(hooks), (hooks, set()))[1].add(handle.id)
    return found


def _handles(model: nn.Module) -> list[Any]:
    """FSDP's handles of its own hooks."""
    handles = []
    for module in fsdp_modules(model):
        state = module._get_fsdp_state()
        handles += [state._pre_forward_hook_handle, state._post_forward_hook_handle]
    for group in parameter_groups(model):
        handles += group._module_to_pre_save_state_dict_hook_handle.values()
        handles += group._module_to_pre_load_state_dict_hook_handle.values()
        handles += [parameter._post_load_hook_handle for parameter in group.fsdp_params]
    return [single for handle in handles for single in getattr(handle, "handles", [handle])]


def _without(hooks: dict[int, Any], own: set[int]) -> dict[int, Any]:
    return type(hooks)((key, hook) for key, hook in hooks.items() if key not in own)
