"""A module taken apart: which of its attributes and methods have a part in its forward pass."""

from collections.abc import Iterator
from types import FunctionType
from typing import Any

from torch import Tensor, nn

from landscope.identity import code

_KEPT_BY_TORCH = frozenset(
    {"training", "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set",
     "_is_full_backward_hook", "_compiled_call_impl", "_backward_hooks", "_backward_pre_hooks",
     "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
     "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks",
     "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"}
)  # fmt: skip

_ANYTHING = frozenset({"getattr", "vars", "__dict__", "__getattr__"})
"""Names by which code may reach attributes that it does not mention."""


class Inside:
    """The layers of a module, and what of them has a part in its forward pass.

    Attributes of a layer count where code that runs in the pass mentions their names; those that
    this code assigns itself are left out: they are what a pass leaves behind.

    Parameters
    ----------
    module : nn.Module
        The whole.
    entries : frozenset of str
        Names of methods where a pass begins, beside `landscope.identity.code.CALLED`.

    Attributes
    ----------
    layers : list of (str, nn.Module)
        Each by name; one that stands in several places at each of them.
    names : frozenset of str
        All that the code of the pass mentions.
    """

    def __init__(self, module: nn.Module, entries: frozenset[str] = frozenset()) -> None:
        self.layers = list(module.named_modules(remove_duplicate=False))
        classes = {base for _, layer in self.layers for base in _bases(layer)}
        own = [
            function
            for _, layer in self.layers
            for value in (*vars(layer).values(), *hooks_of(layer))
            for function in code.functions_in(value)
        ]
        self.names = code.mentioned_from(code.CALLED | entries, classes, own)
        self._known: dict[type, list[FunctionType]] = {}
        self._first_names: dict[int, str] = {}
        for name, tensor in (
            *module.named_parameters(remove_duplicate=False),
            *module.named_buffers(remove_duplicate=False),
        ):
            self._first_names.setdefault(id(tensor), name)

    def class_of(self, layer: nn.Module) -> type:
        """A layer's class, as it was before `fully_shard`."""
        return _bases(layer)[0]

    def heeds_mode(self, layer: nn.Module) -> bool:
        """Whether a layer computes otherwise in training mode: its buffers may change there."""
        hooks = (f for hook in hooks_of(layer) for f in _called(hook))
        return any("training" in code.names_in(f.__code__) for f in (*self._methods(layer), *hooks))

    def forms(self, layer: nn.Module) -> list[Any]:
        """Names and shapes of a layer's own tensors, with the first names of tied ones."""
        own = [*layer._parameters.items(), *layer._buffers.items()]
        return [
            [name, tensor is not None and [list(tensor.shape), self._first_names.get(id(tensor))]]
            for name, tensor in own
        ]

    def attributes(self, layer: nn.Module) -> dict[str, Any]:
        """Attributes of a layer that have a part in its pass, tensors of the module by name."""
        if type(layer).__module__.startswith("torch.jit"):
            return {"script": getattr(layer, "code", None)}
        if type(layer).__name__ == "OptimizedModule":  # of torch.compile: its child says it all
            return {}
        stored = _derived(layer) | code.kept_by(self._methods(layer), vars(layer))
        everything = bool(self._mentioned_by(layer) & _ANYTHING)
        found = {
            name: self._named(value)
            for name, value in vars(layer).items()
            if name not in _KEPT_BY_TORCH | stored and (everything or name in self.names)
        }
        return found | ({"training": layer.training} if self.heeds_mode(layer) else {})

    def _methods(self, layer: nn.Module) -> list[FunctionType]:
        """Methods of a layer that run in the pass."""
        kind = type(layer)
        if kind not in self._known:
            self._known[kind] = [
                function
                for base in _bases(layer)
                for name in self.names & vars(base).keys() - {"__init__"}
                for function in code.functions_in(vars(base)[name])
            ]
        return self._known[kind]

    def _mentioned_by(self, layer: nn.Module) -> frozenset[str]:
        user = (f for f in self._methods(layer) if not code.is_known(f.__globals__["__name__"]))
        return frozenset().union(*(code.names_in(f.__code__) for f in user))

    def _named(self, value: Any) -> Any:
        if isinstance(value, Tensor) and id(value) in self._first_names:
            return "tensor", self._first_names[id(value)]
        if isinstance(value, list | tuple):
            return [self._named(item) for item in value]
        if type(value) is dict:  # a pass may go through it in its order
            return [[key, self._named(item)] for key, item in value.items()]
        return value


def changed_by_training(module: nn.Module, entries: frozenset[str] = frozenset()) -> frozenset[str]:
    """Names of the buffers of layers that act otherwise in training mode, such as BatchNorm's."""
    inside = Inside(module, entries)
    return frozenset(
        f"{name}.{buffer}".removeprefix(".")
        for name, layer in inside.layers
        if layer._buffers and inside.heeds_mode(layer)
        for buffer in layer._buffers
    )


def hooks_of(layer: nn.Module) -> list[Any]:
    """What runs before and after a layer, but for what is torch's own way to spread it."""
    hooks = [*layer._forward_pre_hooks.values(), *layer._forward_hooks.values()]
    return [hook for hook in hooks if not _module_of(hook).startswith("torch.distributed")]


def _bases(layer: nn.Module) -> list[type]:
    """A layer's classes but nn.Module, as before `fully_shard`, which puts two in front."""
    bases = list(type(layer).__mro__)
    names = [base.__name__ for base in bases]
    if "FSDPModule" in names:
        bases = bases[names.index("FSDPModule") + 1 :]
    return [base for base in bases if base not in (nn.Module, object)] or [nn.Module]


def _derived(layer: nn.Module) -> set[str]:
    """Tensors that hooks of torch compute anew before each pass: a normalised or pruned weight."""
    hooks = layer._forward_pre_hooks.values()
    names = (getattr(hook, name, None) for hook in hooks for name in ("name", "_tensor_name"))
    return {name for name in names if isinstance(name, str)}


def _called(hook: Any) -> Iterator[FunctionType]:
    yield from code.functions_in(hook)
    for base in type(hook).__mro__:
        for member in vars(base).values():
            yield from code.functions_in(member)


def _module_of(hook: Any) -> str:
    functions = code.functions_in(hook)
    if functions:
        return str(functions[0].__globals__.get("__name__", ""))
    return type(hook).__module__
