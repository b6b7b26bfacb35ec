"""How much work one example is: arithmetic and memory of its pass, counted, not timed."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from landscope.problem import Problem
from landscope.problem.linear_head import large_head


@dataclass(frozen=True)
class Work:
    """Work of one example's pass forward.

    Attributes
    ----------
    flops : int
        Floating point operations in matrix products.
    largest : int
        Bytes of the largest activation.
    activations : int
        Bytes of all activations together.
    """

    flops: int
    largest: int
    activations: int


@torch.no_grad()
def work_per_example(problem: Problem) -> Work:
    """Count on the first example.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> problem = ls.Problem(torch.nn.Linear(4, 3), (torch.ones(8, 4), torch.arange(8) % 3))
    >>> work_per_example(problem)
    Work(flops=24, largest=12, activations=12)
    """
    example = next(problem.batches[0].pieces(1))
    head = large_head(problem)
    logits = (problem.without_head(head.layer) if head else problem).logits_of(example)
    with _Count() as count:
        logits(*logits.inputs)
    flops = count.flops
    if head:
        flops += 2 * example.rows_per_example * head.layer.weight.numel()
    return Work(flops, max(count.sizes, default=1), max(sum(count.sizes), 1))


class _Count(TorchDispatchMode):
    """Arithmetic by torch's formulas, and sizes of the tensors that operations give but views."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self.sizes: list[int] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func._overloadpacket in flop_registry:
            self.flops += flop_registry[func._overloadpacket](*args, **kwargs, out_val=result)
        inputs = {
            x.untyped_storage().data_ptr() for x in tree_leaves(args) if isinstance(x, Tensor)
        }
        for x in tree_leaves(result):
            if isinstance(x, Tensor) and x.untyped_storage().data_ptr() not in inputs:
                self.sizes.append(x.numel() * x.element_size())
        return result
