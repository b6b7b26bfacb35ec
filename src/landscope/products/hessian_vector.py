"""Products of a scalar function's Hessian with vectors: ∇²f(w) v."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import grad, jvp

from landscope.problem import Batch, Problem
from landscope.problem.reverse_mode import derivative, gradient_at
from landscope.products.batch_derivative import BatchDerivative, Product, leaves_of
from landscope.products.operation_graph import trace
from landscope.products.traced import TracedProduct, partition, write_tangents

Scalar = Callable[[Tensor], Tensor]


def forward_over_reverse(f: Scalar, w: Float[Tensor, " D"]) -> Product:
    """v ↦ the directional derivative of ∇f along v; nothing is kept between products."""
    return lambda v: jvp(grad(f), (w,), (v,))[1]


def double_backward(f: Scalar, w: Float[Tensor, " D"]) -> Product:
    """v ↦ ∇(∇f·v), in reverse mode twice; nothing is kept between products."""
    return lambda v: kept_double_backward(f, w)(v)


def kept_double_backward(f: Scalar, w: Float[Tensor, " D"]) -> Product:
    """v ↦ ∇(∇f·v), with the graph of ∇f kept."""
    with torch.enable_grad():
        point = w.detach().requires_grad_()
        g = derivative(f(point), point, again=True)
    return lambda v: derivative(g, point, v)


class HessianVector(BatchDerivative):
    """v ↦ ∇²f(w) v with f(w) = φ(z(w), …) a function of the batch's logits.

    Parameters
    ----------
    problem : Problem
        The model and loss at one point of weight space.
    batch : Batch
        Some of its data.
    kind : str
        Name of φ.
    scalar : callable
        φ: (logits (T, C), constants …) ↦ a number.
    constants : list of Tensor
        What φ takes beside the logits.
    """

    def __init__(
        self,
        problem: Problem,
        batch: Batch,
        kind: str,
        scalar: Callable[..., Tensor],
        constants: list[Tensor],
    ) -> None:
        super().__init__(problem, batch)
        self.kind = kind  # type: ignore[misc]
        self._scalar, self._constants = scalar, constants

    def value(self, w: Float[Tensor, " D"]) -> Float[Tensor, ""]:
        """f(w)."""
        return self._scalar(self.problem.batch_logits(self.batch)(w), *self._constants)

    def forward_mode(self) -> Product:
        """∇²f v, forward over reverse."""
        return forward_over_reverse(self.value, self.w)

    def reverse_mode(self) -> Product:
        """∇²f v, by double backward."""
        return double_backward(self.value, self.w)

    def cached_graph(self) -> Product:
        """∇²f v, by double backward through a kept graph."""
        return kept_double_backward(self.value, self.w)

    def finite_difference(self, shorter: float = 1.0) -> Product:
        """∇²f v, from gradients at two points."""
        return self.differences(partial(gradient_at, self.value), shorter)

    def extra_inputs(self) -> list[Tensor]:
        """The constants of φ."""
        return self._constants

    def graph(self, inputs: Sequence[Tensor]) -> TracedProduct:
        """The tangent of the gradient's graph."""
        logits = self.problem.logits_of(self.batch)
        count, end = len(logits.parameters), len(logits.inputs)

        def gradient(*inputs: Tensor) -> Any:
            leaves = leaves_of(inputs, count)
            z = logits(*leaves, *inputs[count:end])
            return torch.autograd.grad(
                self._scalar(z, *inputs[end:]), leaves, allow_unused=True, materialize_grads=True
            )

        graph = trace(gradient, inputs)
        written, _, tangents = write_tangents(graph, count)
        return partition(written, count, tangents, [x.shape for x in logits.parameters])

    def asymmetry(self, product: Product, u: Tensor, v: Tensor) -> float:
        """|u·∇²f v − v·∇²f u| over the size of the products."""
        Hu, Hv = product(u).double(), product(v).double()
        size = float(Hu.norm() + Hv.norm()) * float(v.double().norm())
        difference = (u.double() @ Hv - v.double() @ Hu).abs()
        return float(difference) / max(size + self.scale(v) * float(v.double().norm()), 1e-300)

    def scale(self, v: Float[Tensor, " D"]) -> float:
        """A Hessian that cancels to nearly nothing is judged on the scale of the gradient."""
        gradient = gradient_at(self.value, self.w).double()
        return float(gradient.norm() * v.double().norm() / (1 + self.w.double().norm()))
