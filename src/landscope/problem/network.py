"""The model as a pure function of its state: a module or a function, called the same way."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable
from unittest.mock import patch

import torch
from jaxtyping import Int64
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_leaves, tree_map_only

from landscope.identity import changed_by_training, structure
from landscope.identity.code import functions_in, names_in
from landscope.problem.attributes import Attributes
from landscope.problem.batch_statistics import use_batch_statistics
from landscope.problem.forward import Forward
from landscope.problem.recomputation import without_recomputation
from landscope.problem.terms import flatten_logits
from landscope.problem.written_out import write_out


@runtime_checkable
class Network(Protocol):
    """Logits and targets of a batch, at any parameters and buffers."""

    @property
    def module(self) -> nn.Module | None:
        """The module behind it, whose own weights have no part; None for a function."""

    def identity(self) -> list[Any]:
        """What it computes, but for the tensors that it is called with."""

    def changed_by_training(self) -> frozenset[str]:
        """Names of buffers that training changes."""

    def __call__(self, state: Mapping[str, Tensor], batch: Any) -> tuple[Tensor, Tensor]:
        """Logits and targets of the batch."""


@contextmanager
def differentiable() -> Iterator[None]:
    """Attention on the MATH backend, no fused layers, no passes within passes: all derivatives."""
    fused_layers = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), without_recomputation():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused_layers)


class Evaluation:
    """How a model of the user's is run: what it changes in place, and whether it needs gradients.

    It learns both from the first pass, and hands every pass copies of what the model changes, such
    as a buffer that counts calls; whether it changes its inputs, from all passes until `learned`,
    since that may happen on some of the data only. What a module keeps in its attributes is put
    back after each.

    Parameters
    ----------
    model : callable
        (state, batch, …) ↦ what the model gives.
    module : nn.Module, optional
        Whose attributes it may change.
    """

    def __init__(self, model: Callable[..., Any], module: nn.Module | None = None) -> None:
        self._model, self._module = model, module
        self._keeps = False
        self._learns, self._changes_inputs = True, False
        self._differentiates = False
        self._changed: frozenset[str] | None = None

    def learned(self) -> None:
        """Hear that the model has seen all of the data."""
        self._learns = False

    def __call__(self, state: Mapping[str, Tensor], batch: Any, *more: Any) -> Any:
        """What the model gives; without a graph where gradients are switched off."""
        if self._changed is None:
            return self._first(state, batch, *more)
        own = {name: state[name].clone() for name in self._changed}
        return self._run({**state, **own}, batch, *more)

    def _first(self, state: Mapping[str, Tensor], batch: Any, *more: Any) -> Any:
        copies = {name: value.detach().clone() for name, value in state.items()}
        before = None if self._module is None else Attributes(self._module)
        try:
            output = self._run(copies, batch, *more)
        except RuntimeError as error:
            if torch.is_grad_enabled() or "does not require grad" not in str(error):
                raise
            self._differentiates = True
            output = self._run(copies, batch, *more)
        self._changed = frozenset(name for name, copy in copies.items() if copy._version)
        if before is not None and before.have_changed():
            self._keeps = True
            before.restore()
        return output

    def _run(self, state: Mapping[str, Tensor], batch: Any, *more: Any) -> Any:
        if not self._keeps or self._module is None:
            return self._pass(state, batch, *more)
        before = Attributes(self._module)
        try:
            return self._pass(state, batch, *more)
        finally:
            before.restore()

    def _pass(self, state: Mapping[str, Tensor], batch: Any, *more: Any) -> Any:
        graph = torch.is_grad_enabled()
        with differentiable(), torch.set_grad_enabled(graph or self._differentiates):
            copied = self._learns or self._changes_inputs
            if copied or self._differentiates:  # a model may ask for gradients in its inputs
                copy_of = Tensor.clone if copied else Tensor.detach
                batch = tree_map_only(Tensor, copy_of, batch)
            leaves = [x for x in tree_leaves(batch) if isinstance(x, Tensor)]
            inputs = [x for x in leaves if not x.is_inference()]  # these have no versions
            versions = [x._version for x in inputs]
            output = self._model(state, batch, *more)
            if versions != [x._version for x in inputs]:
                if not copied:
                    raise ValueError(
                        "model changes its inputs in place at these weights and not at those that "
                        "it was given with; let it compute with a copy"
                    )
                self._changes_inputs = True
            if not self._differentiates:
                return output
        return output if graph else tree_map_only(Tensor, Tensor.detach, output)


class ModuleNetwork:
    """A module, evaluated at any parameters and buffers.

    The module is copied, so that neither its weights, nor its mode, nor its buffers ever change
    for the caller, and a later change of the caller's has no effect here.
    """

    def __init__(self, model: nn.Module, forward: Forward, batch_statistics: bool = False) -> None:
        # A module may keep an activation of its last pass, which cannot be copied with its graph.
        kept = (value for module in model.modules() for value in vars(module).values())
        detached = {id(x): x.detach() for x in kept if isinstance(x, Tensor) and not x.is_leaf}
        copied = copy.deepcopy(model, detached).requires_grad_(False)
        write_out(copied)
        if batch_statistics:
            use_batch_statistics(copied)
        self._call = _Call(copied, forward)
        self.evaluation = Evaluation(self._called_with, self._call)

    @property
    def module(self) -> nn.Module:
        """The copied module."""
        return self._call.model

    def identity(self) -> list[Any]:
        """Structure and code of the module, and the forward function."""
        return [structure(self.module, methods_called_by(self.forward)), self.forward]

    def changed_by_training(self) -> frozenset[str]:
        """Names of the buffers of layers that act otherwise in training mode."""
        return changed_by_training(self.module, methods_called_by(self.forward))

    def __call__(self, state: Mapping[str, Tensor], batch: Any) -> tuple[Tensor, Tensor]:
        """Logits and targets of the batch."""
        return self.evaluation(state, batch)

    def run(self, forward: Callable[..., Any], state: Mapping[str, Tensor], batch: Any) -> Any:
        """What another forward function gives."""
        return self.evaluation(state, batch, forward)

    @property
    def forward(self) -> Forward:
        """(model, batch) ↦ logits and targets."""
        return self._call.forward_function

    @forward.setter
    def forward(self, forward: Forward) -> None:
        self._call.forward_function = forward

    def _called_with(self, state: Mapping[str, Tensor], batch: Any, *forward: Any) -> Any:
        named = {f"model.{name}": value for name, value in state.items()}
        return functional_call(self._call, named, (batch, *forward))


class FunctionNetwork:
    """A function (parameters, inputs) → logits, evaluated at any parameters."""

    def __init__(self, function: Callable[..., Any], forward: Forward) -> None:
        self._function = function
        self._forward = forward
        self.evaluation = Evaluation(self._called_with)

    @property
    def module(self) -> None:
        """A function has none."""
        return None

    def identity(self) -> list[Any]:
        """Both functions."""
        return [self._function, self._forward]

    def changed_by_training(self) -> frozenset[str]:
        """A function has no buffers."""
        return frozenset()

    def __call__(self, state: Mapping[str, Tensor], batch: Any) -> tuple[Tensor, Tensor]:
        """Logits and targets of the batch."""
        return self.evaluation(state, batch)

    def _called_with(self, state: Mapping[str, Tensor], batch: Any) -> tuple[Tensor, Tensor]:
        def model(*inputs: Any, **named_inputs: Any) -> Any:
            return self._function(dict(state), *inputs, **named_inputs)

        return self._forward(model, batch)


class OtherHead:
    """A network whose last layer computes something else.

    Parameters
    ----------
    network : Network
        The whole.
    head : nn.Linear
        Its last layer.
    function : callable
        What is computed from the features instead.
    """

    def __init__(
        self, network: Network, head: nn.Linear, function: Callable[[Tensor], Tensor]
    ) -> None:
        self._network, self._head, self._function = network, head, function

    @property
    def module(self) -> nn.Module | None:
        """The module behind it."""
        return self._network.module

    def identity(self) -> list[Any]:
        """The whole and what its last layer computes."""
        return [self._network.identity(), self._function]

    def changed_by_training(self) -> frozenset[str]:
        """Those of the whole."""
        return self._network.changed_by_training()

    def __call__(self, state: Mapping[str, Tensor], batch: Any) -> tuple[Tensor, Tensor]:
        """What takes the place of the logits, and targets of the batch."""
        with patch.dict(vars(self._head), forward=self._function):
            return self._network(state, batch)


class ChosenLogits:
    """A network of which only some logits are looked at.

    Parameters
    ----------
    network : Network
        The whole.
    logits : Tensor, shape (K,)
        Which.
    """

    def __init__(self, network: Network, logits: Int64[Tensor, " K"]) -> None:
        self._network, self._logits = network, logits

    @property
    def module(self) -> nn.Module | None:
        """The module behind it."""
        return self._network.module

    def identity(self) -> list[Any]:
        """The whole and which logits."""
        return [self._network.identity(), self._logits]

    def changed_by_training(self) -> frozenset[str]:
        """Those of the whole."""
        return self._network.changed_by_training()

    def __call__(self, state: Mapping[str, Tensor], batch: Any) -> tuple[Tensor, Tensor]:
        """Those logits, one row per target, and class indices or vectors over those logits."""
        z, targets = flatten_logits(*self._network(state, batch))
        if targets.ndim == 2:
            targets = targets.index_select(1, self._logits)
        return z.index_select(1, self._logits), targets


class _Call(nn.Module):
    """The user's forward function with the model as its submodule, so that its state can be set."""

    def __init__(self, model: nn.Module, forward: Forward) -> None:
        super().__init__()
        self.model = model
        self.forward_function = forward

    def forward(self, batch: Any, forward: Forward | None = None) -> tuple[Tensor, Tensor]:
        return (forward or self.forward_function)(self.model, batch)


def methods_called_by(forward: Forward) -> frozenset[str]:
    """Names that a forward function mentions: methods of the module that it may call."""
    functions = functions_in(forward)
    return frozenset().union(*(names_in(function.__code__) for function in functions))


def floating_to(value: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A tensor on the device, in the dtype if it is floating; anything else unchanged."""
    if not isinstance(value, Tensor):
        return value
    return value.to(device, dtype if value.is_floating_point() else value.dtype)
