"""The tangent of any operation that autograd differentiates: reverse mode twice, written down.

The pullback u ↦ Jᵀu of an operation is linear in u, and its own pullback along ẋ is J ẋ. Both run
on shapes alone; the operations that they are made of become part of the graph, where what does
not depend on ẋ is done once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch._decomp import decomposition_table
from torch.fx.node import map_arg
from torch.utils import _pytree as pytree

from landscope.products.operation_graph import NoRuleError, trace


def derived_tangent(
    node: fx.Node, values: Mapping[fx.Node, Any], tangents: Mapping[fx.Node, Any]
) -> Any:
    """Write the tangent of an operation's outputs after its value.

    Parameters
    ----------
    node : Node
        The operation, with the shapes of its inputs as ``meta["val"]``.
    values, tangents : mapping
        Node ↦ its symbol, and that of its tangent, in the graph that is being written.

    Returns
    -------
    symbol, None, or tuple of these
        As the operation's outputs; None where they do not move.

    Raises
    ------
    NoRuleError
        When torch has no second derivative of the operation, or it depends on more than shapes.
    """
    parents = node.all_input_nodes
    moving = [parent for parent in parents if tangents.get(parent) is not None]
    if not all("val" in parent.meta for parent in parents):
        raise NoRuleError(f"no rule for the tangent of {node.target}")
    try:
        graph = _written_down(node, parents, moving, node.target)
    except REFUSALS as refusal:
        if node.target not in decomposition_table:
            raise NoRuleError(f"no rule for the tangent of {node.target}: {refusal}") from refusal
        try:
            graph = _written_down(node, parents, moving, decomposition_table[node.target])
        except REFUSALS:
            raise NoRuleError(f"no rule for the tangent of {node.target}: {refusal}") from refusal
    symbol = values[node]
    written = symbol.node.graph
    for part in graph.nodes:
        if part.kwargs.get("device") is not None:
            part.kwargs = {**part.kwargs, "device": _device(node)}
        if part.op == "get_attr":
            constant = getattr(graph.owning_module, str(part.target)).to(_device(node))
            setattr(written.owning_module, str(part.target), constant)
    inputs = [part for part in graph.nodes if part.op == "placeholder"]
    symbols = [*(values[parent] for parent in parents), *(tangents[parent] for parent in moving)]
    places = {part: given.node for part, given in zip(inputs, symbols, strict=True)}
    results = written.graph_copy(graph, places)
    wrapped = [None if y is None else type(symbol)(y, symbol.tracer) for y in results]
    if "val" in node.meta:
        return wrapped[0]
    return tuple(_known(node, i, y) for i, y in enumerate(wrapped))


REFUSALS = (NotImplementedError, RuntimeError, TypeError)

UNKNOWN = object()
"""The tangent of what autograd keeps for its own use, such as the factors of a matrix."""


def _known(node: fx.Node, index: int, tangent: Any) -> Any:
    items = [item for item in node.users if item.args[1:] == (index,)]
    fraction = any("val" in x.meta and x.meta["val"].is_floating_point() for x in items)
    return UNKNOWN if tangent is None and fraction else tangent


def _written_down(
    node: fx.Node, parents: Sequence[fx.Node], moving: Sequence[fx.Node], operation: Any
) -> fx.Graph:
    """(inputs, tangents of some) ↦ the tangent of each output."""

    def pushed(*inputs: Tensor) -> Sequence[Tensor | None]:
        leaves = dict(zip(parents, inputs, strict=False))
        points = [leaves[parent].detach().requires_grad_() for parent in moving]
        leaves |= dict(zip(moving, points, strict=True))
        args, kwargs = map_arg((node.args, dict(node.kwargs)), leaves.__getitem__)
        outputs = pytree.tree_leaves(operation(*args, **kwargs))
        return [_pushed_forward(y, points, inputs[len(parents) :]) for y in outputs]

    with torch.enable_grad():
        return trace(pushed, [parent.meta["val"] for parent in [*parents, *moving]])


def _pushed_forward(y: Any, points: Sequence[Tensor], along: Sequence[Tensor]) -> Tensor | None:
    """J ẋ of one output, the pullback of the pullback."""
    if not isinstance(y, Tensor) or not y.requires_grad:
        return None
    u = torch.zeros_like(y, requires_grad=True)
    pulled = torch.autograd.grad(y, points, u, create_graph=True, allow_unused=True)
    pairs = [
        (g, d) for g, d in zip(pulled, along, strict=True) if g is not None and g.requires_grad
    ]
    if not pairs:
        return None
    gradients, directions = zip(*pairs, strict=True)
    (pushed,) = torch.autograd.grad(gradients, u, directions, allow_unused=True)
    return pushed


def _device(node: fx.Node) -> torch.device:
    """Where the results are: the graph was written on shapes, which are nowhere."""
    return next(x.meta["device"] for x in [node, *node.users] if "device" in x.meta)
