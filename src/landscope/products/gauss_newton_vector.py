"""Products Jᵀ (M J v) with M a map on the logits of each term, on one batch."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.problem import Batch, Problem
from landscope.problem.reverse_mode import value_and_pullback
from landscope.products.batch_derivative import (
    BatchDerivative,
    Product,
    leaves_of,
)
from landscope.products.jacobian_vector import JacobianForward
from landscope.products.operation_graph import trace
from landscope.products.traced import TracedProduct, partition, write_tangents

LogitMap = Callable[[Tensor, Tensor, Tensor], Tensor]


class GaussNewtonVector(BatchDerivative):
    """v ↦ Σ_μ (J^μ)ᵀ M^μ J^μ v over the examples of a batch.

    Parameters
    ----------
    problem : Problem
        The model and loss at one point of weight space.
    batch : Batch
        Some of its data.
    kind : str
        Name of M.
    logit_map : callable
        (logits (T, C), targets, vectors (T, C)) ↦ M^μ times each vector.
    """

    def __init__(self, problem: Problem, batch: Batch, kind: str, logit_map: LogitMap) -> None:
        super().__init__(problem, batch)
        self.kind = kind  # type: ignore[misc]
        self._logit_map = logit_map
        self._targets = batch.targets.to(problem.device)
        self._jacobian = JacobianForward(problem, batch)

    def _through(self, forward: Product, kept: bool = False) -> Product:
        """Jᵀ M after J v, with the backward graph kept or not."""
        logits = self.problem.batch_logits(self.batch)
        at_hand = value_and_pullback(logits, self.w) if kept else None

        def product(v: Float[Tensor, " D"]) -> Float[Tensor, " D"]:
            z, pull = at_hand or value_and_pullback(logits, self.w)
            Jv = forward(v).view(z.shape)
            with torch.no_grad():
                MJv = self._logit_map(z.detach(), self._targets, Jv)
            return pull(MJv)

        return product

    def forward_mode(self) -> Product:
        """J v in forward mode."""
        return self._through(self._jacobian.forward_mode())

    def reverse_mode(self) -> Product:
        """J v in reverse mode twice."""
        return self._through(self._jacobian.reverse_mode())

    def cached_graph(self) -> Product:
        """J v and Jᵀ u in reverse mode through kept graphs."""
        return self._through(self._jacobian.cached_graph(), kept=True)

    def finite_difference(self, shorter: float = 1.0) -> Product:
        """J v from the logits at two points."""
        return self._through(self._jacobian.finite_difference(shorter))

    def extra_inputs(self) -> list[Tensor]:
        """Targets, and a tangent of the logits for its shape."""
        zeros = self.w.new_zeros(len(self._targets), self.problem.num_classes)
        return [self._targets, zeros]

    def graph(self, inputs: Sequence[Tensor]) -> TracedProduct:
        """The tangent of the logits' graph, then M, then what the pullback does with it."""
        logits = self.problem.logits_of(self.batch)
        count, end = len(logits.parameters), len(logits.inputs)

        def logits_and_pulled(*inputs: Tensor) -> Any:
            leaves = leaves_of(inputs, count)
            z = logits(*leaves, *inputs[count:end])
            targets, Jv = inputs[end:]
            MJv = self._logit_map(z.detach(), targets, Jv)
            pulled = torch.autograd.grad(z, leaves, MJv, allow_unused=True, materialize_grads=True)
            return (z, *pulled)

        graph = trace(logits_and_pulled, inputs)
        written, values, _ = write_tangents(graph, count, linked={end + 1: 0})
        return partition(written, count, values[1:], [x.shape for x in logits.parameters])

    def asymmetry(self, product: Product, u: Tensor, v: Tensor) -> float:
        """|u·A v − v·A u| over its size."""
        Au, Av = product(u).double(), product(v).double()
        size = (Au.norm() * v.double().norm() + Av.norm() * u.double().norm()).clamp_min(1e-300)
        return float((u.double() @ Av - v.double() @ Au).abs() / size)
