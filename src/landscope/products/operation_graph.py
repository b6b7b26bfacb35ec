"""The operations that a function runs through, written down as a graph of ATen operations.

The function runs once, on real tensors. Beneath autograd, where backward passes are made of the
same operations as forward ones, a mode sees each of them with its inputs and outputs. Between
the two, torch turns what is changed in place, views of it included, into operations that change
nothing.
"""

import itertools
import math
import operator
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils.weak import WeakTensorKeyDictionary

aten = torch.ops.aten

NUMBERS = itertools.count()
"""Names of constants differ, so that graphs can be put into one another."""


class NoRuleError(NotImplementedError):
    """An operation that cannot be differentiated here."""


class AnotherPathError(RuntimeError):
    """A graph is run with numbers for which the function does something else."""


def trace(function: Callable[..., Any], inputs: Sequence[Tensor]) -> fx.Graph:
    """The operations that a function runs through, without dead ends and without mutation.

    What Python reads of whole numbers and truth values of the inputs, and how many entries a
    condition selects, decides which operations follow; the graph checks these whenever it runs.

    Parameters
    ----------
    function : callable
        Tensors ↦ a flat tuple of tensors and of None.
    inputs : sequence of Tensor
        What it is run with.

    Raises
    ------
    RuntimeError
        When a fraction that depends on the inputs is read, or anything that depends on chance.
    NoRuleError
        When a tensor that is no input is changed in place, or memory is read past torch.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the switch warns of its own future
        operations = _Operations()
        graph = operations.graph
        # An LSTM would be one fused operation.
        with (
            torch.backends.mkldnn.flags(enabled=False),
            _PythonCalls(operations),
            operations,
            _without_mutation(),
        ):
            named = [torch._to_functional_tensor(operations.input(x)) for x in inputs]
            results = [_beneath(x) for x in function(*named)]
        graph.output(tuple(operations.nodes(results)))
        graph.eliminate_dead_code()
        _spell_out_strides(graph)
    for node in graph.nodes:
        if node.target in (aten.view.default, aten._unsafe_view.default):
            node.target = aten.reshape.default  # a tangent may lie in memory in another order
        elif node.target in ALIASES and STOPPED not in node.meta:
            node.replace_all_uses_with(node.args[0])
        elif node.target is aten.view_as_complex.default:
            with graph.inserting_before(node):
                laid_out = graph.call_function(
                    aten.clone.default, node.args, {"memory_format": torch.contiguous_format}
                )
            laid_out.meta.update(node.args[0].meta)
            node.args = (laid_out,)
        elif node.target is aten.copy.default and _alike(node, node.args[1]):
            node.replace_all_uses_with(node.args[1])
    graph.eliminate_dead_code()
    return graph


def _spell_out_strides(graph: fx.Graph) -> None:
    """Turn what refers to the layout of the memory, which a tangent may not share, into indices."""
    for node in list(graph.nodes):
        if node.target not in (aten.as_strided.default, aten.as_strided_scatter.default):
            continue
        scatters = node.target is aten.as_strided_scatter.default
        whole = node.args[0].meta["val"]
        strides, offset = node.args[0].meta["strides"]
        places = (
            _places(whole.shape, strides)
            .as_strided(*node.args[1 + scatters :], **node.kwargs)
            .contiguous()
        )
        if offset or bool((places < 0).any()):
            raise NoRuleError(f"{node.target} reads memory past its tensor")
        name = f"constant{next(NUMBERS)}"
        device = node.meta["device"]
        setattr(graph.owning_module, name, places if device.type == "meta" else places.to(device))
        with graph.inserting_before(node):
            index = graph.get_attr(name)
            flat = graph.call_function(aten.reshape.default, (node.args[0], [-1]))
            flat.meta.update(node.args[0].meta, val=whole.reshape(-1))
            index.meta["val"] = torch.empty_like(places, device="meta")
            if scatters:
                changed = graph.call_function(aten.index_put.default, (flat, [index], node.args[1]))
                changed.meta.update(flat.meta)
                result = graph.call_function(aten.reshape.default, (changed, list(whole.shape)))
            else:
                result = graph.call_function(aten.index.Tensor, (flat, [index]))
        result.meta.update(node.meta)
        node.replace_all_uses_with(result)
        graph.erase_node(node)


def _places(shape: Sequence[int], strides: Sequence[int]) -> Tensor:
    """Index of each entry where a tensor of these strides keeps it, and −1 between them."""
    memory = torch.full((1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)),), -1)
    memory.as_strided(shape, strides).copy_(torch.arange(math.prod(shape)).view(shape))
    return memory


ALIASES = (aten.alias.default, aten.detach.default, aten.lift_fresh.default)

STOPPED = "stopped"
"""Mark of a tensor that the function takes for a constant: detached, or made without gradients."""


def _alike(node: fx.Node, other: Any) -> bool:
    """Whether two tensors have one shape and type."""
    if "val" not in getattr(other, "meta", {}):
        return False
    value, second = node.meta["val"], other.meta["val"]
    return value.shape == second.shape and value.dtype == second.dtype


@contextmanager
def _without_mutation() -> Iterator[None]:
    """Turn ``x.add_(y)`` into ``x + y``, and what is written into a view into a new whole."""
    torch._enable_functionalization(reapply_views=True)
    try:
        yield
    finally:
        torch._disable_functionalization()


def _beneath(tensor: Any) -> Any:
    """The tensor that the mode has seen, with all changes made."""
    if not isinstance(tensor, Tensor) or not torch._is_functional_tensor(tensor):
        return tensor
    torch._sync(tensor)
    return torch._from_functional_tensor(tensor)


class _Operations(TorchDispatchMode):
    """Write down each operation, with the shape and type of its results as ``meta["val"]``.

    Attributes
    ----------
    graph : Graph
        What was written so far. Tensors that come from nowhere in it, such as what a module keeps
        beside its state, are attributes of its owning module.
    """

    def __init__(self) -> None:
        super().__init__()
        self._constants = fx.GraphModule(nn.Module(), fx.Graph())
        self.graph = fx.Graph(owning_module=self._constants)
        self._nodes: Any = WeakTensorKeyDictionary()
        self._varying: set[fx.Node] = set()
        self._random: set[fx.Node] = set()

    def input(self, tensor: Tensor) -> Tensor:
        """A tensor that is the next input of the graph: another name for the one given."""
        with _disable_current_modes():
            tensor = tensor.detach()
        node = self.graph.placeholder(f"x{len(self.graph.nodes)}")
        self._varying.add(node)
        self._keep(node, tensor)
        return tensor

    def nodes(self, values: Any) -> Any:
        """The same with a node for each tensor."""
        return map_aggregate(values, lambda x: self._node(x) if isinstance(x, Tensor) else x)

    def read(self, node: fx.Node, value: Any, what: str) -> None:
        """Let Python know a value, and the graph check that it is so.

        Raises
        ------
        RuntimeError
            When that is a fraction, which a rounding changes, or depends on chance.
        """
        if node not in self._varying:
            return
        whole = (
            not value.is_floating_point() if isinstance(value, Tensor) else isinstance(value, int)
        )
        if node in self._random or not whole:
            raise RuntimeError(f"{what} reads a number that depends on the data")
        read = self._constant(value.clone()) if isinstance(value, Tensor) else value
        self.graph.call_function(check_value, (node, read))

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = kwargs or {}
        if any(kind not in (Tensor, nn.Parameter) for kind in types):
            return NotImplemented  # its own operations come here next
        if func._schema.is_mutable:
            raise NoRuleError(f"{func} changes a tensor that is no input")
        if func in READ_INSIDE:
            raise NoRuleError(f"{func} reads numbers past torch")
        if func is aten._efficientzerotensor.default:
            func = aten.zeros.default  # a tensor without memory ends the process
        node = self.graph.call_function(func, self.nodes(args), self.nodes(kwargs))
        parents = node.all_input_nodes
        if torch.Tag.nondeterministic_seeded in func.tags or not self._random.isdisjoint(parents):
            self._random.add(node)
        if node in self._random or not self._varying.isdisjoint(parents):
            self._varying.add(node)
        result = func(*args, **kwargs)
        self._keep(node, result)
        if isinstance(result, bool | int | float | complex):
            self.read(node, result, str(func))
        if node in self._varying and _counts(func, args):
            self.graph.call_function(check_shape, (self._node(result), list(result.shape)))
        return result

    def _node(self, tensor: Tensor) -> fx.Node:
        if tensor not in self._nodes:
            self._keep(self._constant(tensor), tensor)
        return self._nodes[tensor]

    def _constant(self, tensor: Tensor) -> fx.Node:
        name = f"constant{next(NUMBERS)}"
        setattr(self._constants, name, tensor)
        return self.graph.get_attr(name)

    def _keep(self, node: fx.Node, result: Any) -> None:
        """Know the results of an operation again."""
        if isinstance(result, Tensor):
            self._nodes[result] = node
            node.meta["val"] = torch.empty_like(result, device="meta")
            node.meta["device"] = result.device
            node.meta["strides"] = (result.stride(), result.storage_offset())
        elif isinstance(result, list | tuple):
            for index, part in enumerate(result):
                item = self.graph.call_function(operator.getitem, (node, index))
                if node in self._varying:
                    self._varying.add(item)
                if node in self._random:
                    self._random.add(item)
                self._keep(item, part)


READ_INSIDE = {aten._pack_padded_sequence.default}
"""Operations of which parts are read outside torch's sight."""


def _counts(operation: Any, arguments: Sequence[Any]) -> bool:
    """Whether the shape of its result depends on numbers, as of what a mask selects."""
    if torch.Tag.dynamic_output_shape not in operation.tags:
        return False
    if operation is not aten.index.Tensor:
        return True
    indices = [index for index in arguments[1] if index is not None]
    return any(index.dtype in (torch.bool, torch.uint8) for index in indices)


@fx.has_side_effect
def check_value(value: Any, read: Any) -> None:
    """Refuse to go the way that other numbers led to."""
    if not (torch.equal(value, read) if isinstance(value, Tensor) else value == read):
        raise AnotherPathError("the model's control flow depends on the data")


@fx.has_side_effect
def check_shape(tensor: Tensor, shape: Sequence[int]) -> None:
    """Refuse to go on with more or fewer selected entries."""
    if list(tensor.shape) != list(shape):
        raise AnotherPathError("the number of selected entries depends on the data")


CHECKS = (check_value, check_shape)


class _PythonCalls(TorchFunctionMode):
    """See what operations do not tell: what Python reads, and where no gradient is to flow."""

    def __init__(self, operations: _Operations) -> None:
        super().__init__()
        self._operations = operations
        self._stops = False

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = kwargs or {}
        if func in ADDRESSES:
            raise NoRuleError(f"{func.__name__} reads memory past torch")
        if func in LISTS:
            tensor = _beneath(args[0].detach())
            self._operations.read(self._operations.nodes(tensor), tensor, func.__name__)
            with _disable_current_modes():
                return func(tensor.clone(), *args[1:], **kwargs)
        if func is torch._C._set_grad_enabled:
            self._stops = not args[0]
        result = func(*args, **kwargs)
        if self._stops or (func in DETACHING and not (args and self._is_input(args[0]))):
            return map_aggregate(result, self._stopped)
        return result

    def _is_input(self, tensor: Tensor) -> bool:
        return self._operations.nodes(_beneath(tensor)).op == "placeholder"

    def _stopped(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        constant = aten.detach.default(value)
        self._operations.nodes(_beneath(constant)).meta[STOPPED] = True
        return constant


LISTS = {Tensor.tolist, Tensor.numpy, Tensor.__array__}
DETACHING = {Tensor.detach, torch.detach, Tensor.detach_, torch.detach_, Tensor.data.__get__}  # type: ignore[attr-defined]
ADDRESSES = {Tensor.data_ptr, Tensor.untyped_storage, Tensor.__dlpack__, torch.to_dlpack}
