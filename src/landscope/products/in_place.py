"""Sums and products that are written over one of their terms, where nothing else needs it.

The arithmetic between matrix products is bound by memory: each sum or product of two
activations reads two and writes a third, which has to be allocated. A term that no other
operation reads can take the result instead, and a matrix product can be added to it directly.
"""

import copy
import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx

aten = torch.ops.aten

ALLOCATES = {
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.neg,
    torch.addmm,
    torch.addcmul,
    aten.addmm.default,
    aten.mm.default,
    aten.bmm.default,
    aten.convolution.default,
    aten.threshold_backward.default,
    Tensor.add_,
    Tensor.mul_,
    Tensor.addmm_,
    Tensor.baddbmm_,
    Tensor.addcmul_,
}
"""Operations whose result shares its memory with nothing that is used afterwards."""

IN_PLACE: dict[Any, Any] = {operator.add: Tensor.add_, operator.mul: Tensor.mul_}
ADDED_PRODUCTS = {aten.mm.default: Tensor.addmm_, aten.bmm.default: Tensor.baddbmm_}


def computed_in_place(graph: fx.Graph, inputs: Sequence[Tensor]) -> fx.GraphModule:
    """The same graph with sums and products written over their terms.

    Parameters
    ----------
    graph : Graph
        Arithmetic on tensors.
    inputs : sequence of Tensor
        What it may be called with: it is run once, to see the shapes.

    Returns
    -------
    GraphModule
        Gives the same up to rounding. Not for `torch.vmap`, which cannot add products in place.
    """
    graph = copy.deepcopy(graph)
    _Shapes(torch.nn.Module(), graph=graph).run(*inputs)
    for node in graph.nodes:
        if node.op != "call_function" or node.kwargs:
            continue
        for terms in (node.args, node.args[::-1]):
            if node.target is operator.add and _add_product(node, *terms):
                break
        for terms in (node.args, node.args[::-1]):
            if node.target in IN_PLACE and _write_over(node, *terms):
                break
    graph.eliminate_dead_code()
    return fx.GraphModule(torch.nn.Module(), graph)


class _Shapes(fx.Interpreter):
    """Note beside each operation the shape and type of its result."""

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            n.meta["layout"] = (result.shape, result.dtype)
        return result


def _add_product(node: fx.Node, term: Any, product: Any) -> bool:
    """Turn t + A B into one operation on t, if A B is used nowhere else."""
    if not (_alike(node, term) and _alike(node, product)) or len(product.users) != 1:
        return False
    if product.target in ADDED_PRODUCTS and _is_free(term):
        node.target = ADDED_PRODUCTS[product.target]
    elif product.target is operator.mul and all(isinstance(x, fx.Node) for x in product.args):
        node.target = Tensor.addcmul_ if _is_free(term) else torch.addcmul
    else:
        return False
    node.args = (term, *product.args)
    return True


def _write_over(node: fx.Node, first: Any, second: Any) -> bool:
    """Let the first term take the sum or product."""
    if not (_alike(node, first) and _is_free(first)):
        return False
    node.target, node.args = IN_PLACE[node.target], (first, second)
    return True


def _alike(node: fx.Node, term: Any) -> bool:
    return isinstance(term, fx.Node) and term.meta.get("layout") == node.meta["layout"]


def _is_free(term: Any) -> bool:
    """Whether its memory is its own, and nothing but its one user reads it."""
    if term.target is operator.getitem:
        return term.args[0].target is aten.convolution_backward.default and len(term.users) == 1
    return term.target in ALLOCATES and len(term.users) == 1
