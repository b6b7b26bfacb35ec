"""First derivatives by plain autograd, which enters every model that torch can train.

`torch.func` refuses packed sequences, hooks, functions without `setup_context` and models that
differentiate themselves.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def gradient_at(f: Callable[[Tensor], Tensor], w: Float[Tensor, " D"]) -> Float[Tensor, " D"]:
    """∇f(w) of a scalar function.

    Examples
    --------
    >>> gradient_at(lambda w: (w**2).sum(), torch.tensor([1.0, 3.0]))
    tensor([2., 6.])
    """
    value, pull = value_and_pullback(f, w)
    return pull(torch.ones_like(value))


def value_and_pullback(
    f: Callable[[Tensor], Tensor], w: Float[Tensor, " D"]
) -> tuple[Tensor, Callable[[Tensor], Float[Tensor, " D"]]]:
    """f(w), and u ↦ Jᵀ u, which may be called again and again."""
    with torch.enable_grad():
        point = w.detach().requires_grad_()
        value = f(point)

    def pull(u: Tensor) -> Float[Tensor, " D"]:
        return derivative(value, point, u)

    return value.detach(), pull


def derivative(
    output: Tensor, inputs: Tensor, cotangent: Tensor | None = None, *, again: bool = False
) -> Tensor:
    """Jᵀ u of an output in its inputs, zero where it does not depend on them; the graph is kept.

    Parameters
    ----------
    output, inputs : Tensor
        Of one autograd graph.
    cotangent : Tensor, optional
        u, of the output's shape; 1 for a number.
    again : bool
        Whether the result is to be differentiated.
    """
    if not output.requires_grad:
        return torch.zeros_like(inputs)
    (found,) = torch.autograd.grad(
        output, inputs, cotangent, retain_graph=True, create_graph=again, allow_unused=True
    )
    return torch.zeros_like(inputs) if found is None else found
