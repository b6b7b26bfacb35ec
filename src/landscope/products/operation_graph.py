"""The operations that a function runs through, written down as a graph of ATen operations.

The function runs once, on real tensors. Beneath autograd, where backward passes are made of the
same operations as forward ones, a mode sees each of them with its inputs and outputs.
"""

import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

aten = torch.ops.aten


class NoRuleError(NotImplementedError):
    """An operation that cannot be differentiated here."""


def trace(function: Callable[..., Any], inputs: Sequence[Tensor]) -> fx.Graph:
    """The operations that a function runs through, without dead ends and without mutation.

    Parameters
    ----------
    function : callable
        Tensors ↦ a flat tuple of tensors and of None.
    inputs : sequence of Tensor
        What it is run with.

    Raises
    ------
    RuntimeError
        When a number that depends on the inputs is read, as by control flow on the data.
    NoRuleError
        When a tensor is changed in place while another name for it is still in use.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the switch warns of its own future
        operations = _Operations()
        graph, named = operations.graph, [operations.input(x) for x in inputs]
        # An LSTM would be one fused operation.
        with torch.backends.mkldnn.flags(enabled=False), operations:
            results = function(*named)
        graph.output(tuple(operations.nodes(results)))
    graph.eliminate_dead_code()
    _without_mutation(graph)
    for node in graph.nodes:
        if node.target in (aten.view.default, aten._unsafe_view.default):
            node.target = aten.reshape.default  # a tangent may lie in memory in another order
        elif node.target in (aten.alias.default, aten.detach.default):
            node.replace_all_uses_with(node.args[0])
    graph.eliminate_dead_code()
    return graph


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

    def input(self, tensor: Tensor) -> Tensor:
        """A tensor that is the next input of the graph: another name for the one given."""
        tensor = tensor.detach()
        node = self.graph.placeholder(f"x{len(self.graph.nodes)}")
        self._varying.add(node)
        self._keep(node, tensor)
        return tensor

    def nodes(self, values: Any) -> Any:
        """The same with a node for each tensor."""
        return map_aggregate(values, lambda x: self._node(x) if isinstance(x, Tensor) else x)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = kwargs or {}
        if any(kind not in (Tensor, nn.Parameter) for kind in types):
            return NotImplemented  # its own operations come here next
        if func is aten.lift_fresh.default:
            func = aten.lift_fresh_copy.default  # a constant may be changed in place later on
        inputs, options = self.nodes(args), self.nodes(kwargs)
        node = self.graph.call_function(func, inputs, options)
        varies = torch.Tag.nondeterministic_seeded in func.tags or any(
            parent in self._varying for parent in node.all_input_nodes
        )
        if varies:
            if torch.Tag.data_dependent_output in func.tags:
                raise RuntimeError(f"{func} reads a number that depends on the data")
            self._varying.add(node)
        result = func(*args, **kwargs)
        self._keep(node, result)
        return result

    def _node(self, tensor: Tensor) -> fx.Node:
        if tensor not in self._nodes:
            name = f"constant{len(self.graph.nodes)}"
            setattr(self._constants, name, tensor)
            self._keep(self.graph.get_attr(name), tensor)
        return self._nodes[tensor]

    def _keep(self, node: fx.Node, result: Any) -> None:
        """Know the results of an operation again."""
        if isinstance(result, Tensor):
            self._nodes[result] = node
            node.meta["val"] = torch.empty_like(result, device="meta")
        elif isinstance(result, list | tuple):
            for index, part in enumerate(result):
                item = self.graph.call_function(operator.getitem, (node, index))
                if node in self._varying:
                    self._varying.add(item)
                self._keep(item, part)


VIEWS = {
    aten.view.default,
    aten.t.default,
    aten.transpose.int,
    aten.permute.default,
    aten.expand.default,
    aten.slice.Tensor,
    aten.select.int,
    aten.squeeze.default,
    aten.squeeze.dim,
    aten.unsqueeze.default,
    aten.split.Tensor,
    aten.split_with_sizes.default,
    aten.unbind.int,
    aten.alias.default,
    aten.detach.default,
    aten.diagonal.default,
}


def _without_mutation(graph: fx.Graph) -> None:
    """Turn ``x.add_(y)`` into ``x + y``, and let all later uses of x see the sum."""
    order = {node: i for i, node in enumerate(graph.nodes)}
    root: dict[fx.Node, fx.Node] = {}
    for node in list(graph.nodes):
        parent = node.args[0] if node.args and isinstance(node.args[0], fx.Node) else node
        viewing = parent if node.target is operator.getitem else node
        root[node] = root[parent] if viewing.target in VIEWS else node
        if node.op != "call_function" or not _mutates(node):
            continue
        changed = node.args[0]
        others = [n for n in root if root[n] is root[changed] and n not in (changed, node)]
        if root[changed].op == "placeholder" or any(
            order[user] > order[node] for other in others for user in other.users
        ):
            raise NoRuleError(f"{node.target} changes a tensor that is still in use")
        packet = getattr(aten, node.target._schema.name.removeprefix("aten::").removesuffix("_"))
        overload = node.target._overloadname
        node.target = getattr(packet, overload)
        root[node] = node
        later = order[node]
        changed.replace_all_uses_with(
            node, delete_user_cb=lambda user, later=later: order[user] > later
        )


def _mutates(node: fx.Node) -> bool:
    """Whether it changes its first argument; batch norm changes others, its statistics."""
    schema = getattr(node.target, "_schema", None)
    if schema is None or not schema.arguments:
        return False
    alias = schema.arguments[0].alias_info
    return alias is not None and alias.is_write
