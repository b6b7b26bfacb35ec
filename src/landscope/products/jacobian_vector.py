"""Products with the Jacobian J of one batch's logits, from both sides: J v and Jᵀ u."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jvp

from landscope.problem.reverse_mode import derivative, value_and_pullback
from landscope.products.batch_derivative import BatchDerivative, Product, leaves_of
from landscope.products.operation_graph import trace
from landscope.products.traced import TracedProduct, partition, write_tangents

Logits = Callable[[Tensor], Tensor]


def kept_double_reverse(z: Logits, w: Float[Tensor, " D"]) -> Product:
    """v ↦ J v = ∇_u (Jᵀ u · v), in reverse mode twice, with the graph of Jᵀ u kept."""
    with torch.enable_grad():
        point = w.detach().requires_grad_()
        value = z(point)
        # Jᵀu is linear in u, but some backward passes take logarithms on the way.
        u = torch.ones_like(value).requires_grad_()
        pulled = derivative(value, point, u, again=True)
    return lambda v: derivative(pulled, u, v)


def pull(z: Logits, w: Float[Tensor, " D"], u: Float[Tensor, "T C"]) -> Float[Tensor, " D"]:
    """Jᵀ u."""
    return value_and_pullback(z, w)[1](u)


class JacobianForward(BatchDerivative):
    """v ↦ J v: how the logits of a batch move along v."""

    kind = "jacobian"

    def forward_mode(self) -> Product:
        """J v, in forward mode."""
        z = self.problem.batch_logits(self.batch)
        return lambda v: jvp(z, (self.w,), (v,))[1]

    def reverse_mode(self) -> Product:
        """J v, in reverse mode twice."""
        return lambda v: self.cached_graph()(v)

    def cached_graph(self) -> Product:
        """J v, in reverse mode twice through a kept graph."""
        return kept_double_reverse(self.problem.batch_logits(self.batch), self.w)

    def finite_difference(self, shorter: float = 1.0) -> Product:
        """J v, from the logits at two points."""
        z = self.problem.batch_logits(self.batch)
        return self.differences(lambda w: z(w).detach(), shorter)

    def extra_inputs(self) -> list[Tensor]:
        """None."""
        return []

    def graph(self, inputs: Sequence[Tensor]) -> TracedProduct:
        """The tangent of the logits' graph."""
        logits = self.problem.logits_of(self.batch)
        count = len(logits.parameters)
        graph = trace(lambda *inputs: (logits(*inputs),), inputs)
        written, _, tangents = write_tangents(graph, count)
        return partition(written, count, tangents, [logits_shape(graph)])

    def asymmetry(self, product: Product, u: Tensor, v: Tensor) -> float:
        """|Ju·Jv − u·Jᵀ(Jv)| over its size: whether J v and Jᵀ u belong to one J."""
        Ju, Jv = product(u).double(), product(v).view(-1, self.problem.num_classes)
        adjoint = pull(self.problem.batch_logits(self.batch), self.w, Jv).double()
        difference = ((Ju.reshape(Jv.shape) * Jv.double()).sum() - u.double() @ adjoint).abs()
        return float(difference / (Ju.norm() * Jv.double().norm()).clamp_min(1e-300))


class JacobianAdjoint(BatchDerivative):
    """u ↦ Jᵀ u = Σ_μ Σ_k u_k^μ J_k^μ over the examples of a batch."""

    kind = "jacobian adjoint"

    def forward_mode(self) -> Product:
        """Jᵀ u, in reverse mode: there is no other."""
        return self.reverse_mode()

    def reverse_mode(self) -> Product:
        """Jᵀ u, in reverse mode."""
        return lambda u: self.cached_graph()(u)

    def cached_graph(self) -> Product:
        """Jᵀ u, in reverse mode through a kept graph."""
        z, adjoint = value_and_pullback(self.problem.batch_logits(self.batch), self.w)
        return lambda u: adjoint(u.view(z.shape))

    def finite_difference(self, shorter: float = 1.0) -> Product:
        """Jᵀ u: a first derivative, which needs no differences."""
        return self.reverse_mode()

    @property
    def length(self) -> int:
        """One for each logit of each term."""
        return int(self.batch.is_term.sum()) * self.problem.num_classes

    def extra_inputs(self) -> list[Tensor]:
        """A cotangent, for its shape."""
        return [self.w.new_zeros(self.length).view(-1, self.problem.num_classes)]

    def directions(self, u: Float[Tensor, " n"]) -> list[Tensor]:
        """The cotangent."""
        return [u.view(-1, self.problem.num_classes)]

    def graph(self, inputs: Sequence[Tensor]) -> TracedProduct:
        """What of the pullback depends on the cotangent."""
        logits = self.problem.logits_of(self.batch)
        count, end = len(logits.parameters), len(logits.inputs)

        def pulled(*inputs: Tensor) -> Any:
            leaves = leaves_of(inputs, count)
            z = logits(*leaves, *inputs[count:end])
            return torch.autograd.grad(z, leaves, inputs[end], allow_unused=True,
                                       materialize_grads=True)  # fmt: skip

        graph = trace(pulled, inputs)
        written, values, _ = write_tangents(graph, 0, along=end)
        return partition(written, 1, values, [x.shape for x in logits.parameters])


def logits_shape(graph: Any) -> torch.Size:
    """Shape of a graph's first output."""
    (output,) = (node for node in graph.nodes if node.op == "output")
    return output.args[0][0].meta["val"].shape
