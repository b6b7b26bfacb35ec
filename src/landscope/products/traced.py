"""Maps that are linear in a direction, as two graphs: what is done once, what each product does.

A network's derivative is written down as a graph of operations (`operation_graph`), and the rules
of `tangent_rules` write beside each operation its tangent. What does not depend on the direction is
the *primal* part: it runs once per batch and hands its results to the *tangent* part, which holds
nothing but the arithmetic of one product.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx
from torch.fx.node import map_arg

from landscope.products.derived_tangent import UNKNOWN, derived_tangent
from landscope.products.in_place import computed_in_place
from landscope.products.operation_graph import CHECKS, STOPPED, NoRuleError
from landscope.products.tangent_rules import arguments_of, rule_of


class TracedProduct:
    """v ↦ A v for all batches of the same shapes.

    Parameters
    ----------
    primal : GraphModule
        Inputs ↦ constants: what no direction changes.
    tangent : Graph
        (constants, directions) ↦ the parts of A v.
    shapes : sequence of torch.Size
        Shape of each part.
    """

    def __init__(
        self, primal: fx.GraphModule, tangent: fx.Graph, shapes: Sequence[torch.Size]
    ) -> None:
        self._graph = tangent
        names = [str(node.target) for node in primal.graph.nodes]
        # Convolutions are faster with channels last, numbers per group or channel are not.
        self._channels_last = any("convolution" in name for name in names) and not any(
            "norm" in name for name in names
        )
        self._primal, self._shapes = primal, shapes
        self._in_place: Any = None

    @torch.no_grad()
    def constants(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """What a batch's products share."""
        if self._channels_last:
            inputs = [_channels_last(x) for x in inputs]
        return self._primal(*inputs)

    @torch.no_grad()
    def product(self, constants: Sequence[Tensor], directions: Sequence[Tensor]) -> Tensor:
        """A v, as one vector."""
        if self._in_place is None:
            self._in_place = computed_in_place(self._graph, [*constants, *directions])
        return self._flat(self._in_place(*constants, *directions), directions[0])

    @torch.no_grad()
    def block_product(
        self, constants: Sequence[Tensor], directions: Sequence[Tensor]
    ) -> Float[Tensor, "n k"]:
        """A V for directions with one more dimension in front, the columns of V, all at once."""

        def along(*directions: Tensor) -> Tensor:
            return self._flat(self._tangent(*constants, *directions), directions[0])

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="There is a performance drop")
            return torch.vmap(along)(*directions).T

    @cached_property
    def _tangent(self) -> Any:
        """The tangent part with nothing written over: `torch.vmap` cannot add products in place."""
        return fx.GraphModule(torch.nn.Module(), self._graph)

    def _flat(self, parts: Sequence[Tensor | None], like: Tensor) -> Tensor:
        vectors = [
            like.new_zeros(shape.numel()) if part is None else part.reshape(-1)
            for part, shape in zip(parts, self._shapes, strict=True)
        ]
        return vectors[0] if len(vectors) == 1 else torch.cat(vectors)


def write_tangents(
    graph: fx.Graph,
    num_moving: int,
    *,
    linked: Mapping[int, int] | None = None,
    along: int | None = None,
) -> tuple[fx.Graph, list[fx.Node | None], list[fx.Node | None]]:
    """Copy a graph, writing beside each operation its tangent.

    Parameters
    ----------
    graph : Graph
        From `trace`; its output is a flat tuple.
    num_moving : int
        Number of inputs, the first ones, that move along a direction each.
    linked : mapping, optional
        Index of an input ↦ index of the output whose tangent it stands for.
    along : int, optional
        Index of an input that is a direction itself, in which the graph is linear.

    Returns
    -------
    written : Graph
        Inputs, then directions; no output yet.
    values, tangents : list of Node or None
        Of the graph's outputs.
    """
    written = fx.Graph(owning_module=graph.owning_module)
    tracer = fx.proxy.GraphAppendingTracer(written)
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    (output,) = (node for node in graph.nodes if node.op == "output")
    outputs = list(output.args[0])
    stands_for = {outputs[j]: inputs[i] for i, j in (linked or {}).items()}
    followed = set() if along is not None else _ancestors(stands_for or outputs)

    values: dict[fx.Node, Any] = {}
    tangents: dict[fx.Node, Any] = {}
    for index, node in enumerate(inputs):
        values[node] = _Symbol(written.placeholder(f"x{index}"), tracer)
        values[node].node.meta.update(node.meta)
    for index, node in enumerate(inputs[:num_moving]):
        tangents[node] = _Symbol(written.placeholder(f"v{index}"), tracer)
    if along is not None:
        values[inputs[along]] = _Symbol(written.placeholder("v"), tracer)

    for node in graph.nodes:
        if node.op in ("call_function", "get_attr"):
            values[node] = _Symbol(written.node_copy(node, lambda n: values[n].node), tracer)
            moved = any(tangents.get(parent) is not None for parent in node.all_input_nodes)
            if node in followed and moved and STOPPED not in node.meta:
                tangents[node] = _tangent(node, values, tangents)
        if node in stands_for:
            values[stands_for[node]] = tangents[node]
    return (
        written,
        [_node(values.get(node)) if isinstance(node, fx.Node) else None for node in outputs],
        [_node(tangents.get(node)) if isinstance(node, fx.Node) else None for node in outputs],
    )


def partition(
    written: fx.Graph,
    num_directions: int,
    results: Sequence[fx.Node | None],
    shapes: Sequence[torch.Size],
) -> TracedProduct:
    """Split a graph by what depends on a direction.

    Parameters
    ----------
    written : Graph
        Inputs, then directions.
    num_directions : int
        Number of directions.
    results : sequence of Node or None
        What the tangent part gives; None is zero.
    shapes : sequence of torch.Size
        Shape of each result.
    """
    inputs = [node for node in written.nodes if node.op == "placeholder"]
    directions = inputs[len(inputs) - num_directions :]
    if all(result is None for result in results):
        raise NoRuleError("no output depends on the directions")
    moving = set(directions)
    for node in written.nodes:
        if any(parent in moving for parent in node.all_input_nodes):
            if node.target in CHECKS:
                raise NoRuleError("control flow depends on the direction")
            moving.add(node)
    written.output(list(results))
    _share_equal_operations(written)
    written.eliminate_dead_code()
    (output,) = (node for node in written.nodes if node.op == "output")
    moving.discard(output)

    used = [n for n in written.nodes if n in moving or n is output]
    constants = list(
        dict.fromkeys(
            parent for node in used for parent in node.all_input_nodes if parent not in moving
        )
    )

    tangent, copies = fx.Graph(), {}
    for index, node in enumerate(constants):
        copies[node] = tangent.placeholder(f"c{index}")
    for index, node in enumerate(directions):
        copies[node] = tangent.placeholder(f"v{index}")
    for node in used:
        if node.op in ("call_function", "call_method"):
            copies[node] = tangent.node_copy(node, copies.__getitem__)
    tangent.output(map_arg(output.args[0], copies.__getitem__))

    primal, copies = fx.Graph(), {}
    for node in written.nodes:
        if node not in moving and node.op != "output":
            copies[node] = primal.node_copy(node, copies.__getitem__)
    primal.output([copies[node] for node in constants])
    primal.eliminate_dead_code()
    return TracedProduct(
        fx.GraphModule(written.owning_module or torch.nn.Module(), primal),
        tangent,
        shapes,
    )


def _channels_last(x: Tensor) -> Tensor:
    if x.ndim != 4 or not x.is_floating_point() or x.device.type != "cpu":
        return x
    x = x.contiguous(memory_format=torch.channels_last)
    # One channel lies in memory alike in both layouts; only the strides tell the layout.
    channels, height, width = x.shape[1:]
    strides = (channels * height * width, 1, channels * width, channels)
    return x.as_strided(x.shape, strides)


def _ancestors(nodes: Iterable[Any]) -> set[fx.Node]:
    """Nodes that these depend on, and themselves."""
    found: set[fx.Node] = set()
    left = [node for node in nodes if isinstance(node, fx.Node)]
    while left:
        node = left.pop()
        if node not in found:
            found.add(node)
            left.extend(node.all_input_nodes)
    return found


class _Symbol(fx.Proxy):
    """A tensor of the graph that is being written, with the shape that it had in the trace."""

    @property
    def shape(self) -> torch.Size:
        return self.node.meta["val"].shape

    @property
    def dtype(self) -> torch.dtype:
        return self.node.meta["val"].dtype


def _tangent(node: fx.Node, values: Mapping[fx.Node, Any], tangents: Mapping[fx.Node, Any]) -> Any:
    """By the operation's rule, or by reverse mode twice where it has none."""
    out = node.meta.get("val")
    if out is not None and not (out.is_floating_point() or out.is_complex()):
        return None
    moving = [parent for parent in node.all_input_nodes if tangents.get(parent) is not None]
    if any(tangents[parent] is UNKNOWN for parent in moving):
        raise NoRuleError(f"{node.target} takes what has no derivative of its own")
    rule = rule_of(node.target)
    if rule is None or any(_is_complex(part) for part in [node, *moving]):
        return derived_tangent(node, values, tangents)
    arguments = arguments_of(node)
    directions = [_direction(argument, tangents) for argument in arguments]
    tangent = rule(
        values[node], arguments.replaced(map_arg(list(arguments), values.__getitem__)), directions
    )
    if out is None or tangent is None:
        return tangent
    types = {parent.meta["val"].dtype for parent in moving if "val" in parent.meta}
    return tangent.to(out.dtype) if types - {out.dtype} else tangent


def _is_complex(node: fx.Node) -> bool:
    return "val" in node.meta and node.meta["val"].is_complex()


def _direction(argument: Any, tangents: Mapping[fx.Node, Any]) -> Any:
    if isinstance(argument, list | tuple):
        return [_direction(part, tangents) for part in argument]
    return tangents.get(argument) if isinstance(argument, fx.Node) else None


def _node(symbol: Any) -> Any:
    return symbol.node if isinstance(symbol, fx.Proxy) else symbol


def _share_equal_operations(graph: fx.Graph) -> None:
    """Compute once what is computed twice from the same inputs."""
    seen: dict[Any, fx.Node] = {}
    for node in list(graph.nodes):
        if node.op not in ("call_function", "call_method") or _is_random(node):
            continue
        key = repr((node.op, node.target, node.args, node.kwargs))
        if key in seen:
            node.replace_all_uses_with(seen[key])
            graph.erase_node(node)
        else:
            seen[key] = node


def _is_random(node: fx.Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
