"""Products Jᵀ (M J v) for many logits, of which no more than some rows exist at a time."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.problem import Batch, Problem
from landscope.problem.linear_head import LinearHead
from landscope.products.batch_derivative import BatchDerivative, Product
from landscope.products.gauss_newton_vector import GaussNewtonVector, LogitMap
from landscope.products.jacobian_vector import JacobianAdjoint, JacobianForward
from landscope.products.traced import TracedProduct

ROW_BYTES = 8 * 2**20
"""Bytes of the logits that are built at a time."""


class LargeOutputVector(GaussNewtonVector):
    """v ↦ Σ_μ (J^μ)ᵀ M^μ J^μ v, for logits z = h Wᵀ + b from a linear layer.

    With (ḣ, Ẇ, ḃ) the tangents of the features and of the layer, ż = ḣ Wᵀ + h Ẇᵀ + ḃ and u = M ż
    are built for some rows at a time, and give their share of uᵀ h and Σ u for the layer and of
    u W for the features, through which the rest of the network is reached.

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
    head : LinearHead
        The last layer.
    """

    def __init__(
        self, problem: Problem, batch: Batch, kind: str, logit_map: LogitMap, head: LinearHead
    ) -> None:
        super().__init__(problem, batch, kind, logit_map)
        self._head = head
        body = problem.without_head(head.layer)
        self._forward, self._adjoint = JacobianForward(body, batch), JacobianAdjoint(body, batch)
        self._features = body.batch_logits(batch)

    def forward_mode(self) -> Product:
        """Features in forward mode."""
        return self._around_last_layer(self._forward.forward_mode(), self._adjoint.forward_mode())

    def reverse_mode(self) -> Product:
        """Features in reverse mode twice."""
        return self._around_last_layer(self._forward.reverse_mode(), self._adjoint.reverse_mode())

    def cached_graph(self) -> Product:
        """Features through kept graphs."""
        return self._around_last_layer(self._forward.cached_graph(), self._adjoint.cached_graph())

    def finite_difference(self, shorter: float = 1.0) -> Product:
        """Features at two points."""
        return self._around_last_layer(
            self._forward.finite_difference(shorter), self._adjoint.reverse_mode()
        )

    def extra_inputs(self) -> list[Tensor]:
        """None: the last layer is no part of the graph."""
        return []

    def graph(self, inputs: Sequence[Tensor]) -> TracedProduct:
        """None of its own."""
        raise NotImplementedError("the last layer goes through the logits some rows at a time")

    @property
    def parts(self) -> list[BatchDerivative]:
        """The features' Jacobian, from both sides."""
        return [self._forward, self._adjoint]

    def assembled(self, products: list[Product]) -> Product:
        """Both with the last layer between them."""
        return self._around_last_layer(*products)

    def _around_last_layer(self, forward: Product, adjoint: Product) -> Product:
        @torch.no_grad()
        def product(v: Float[Tensor, " D"]) -> Float[Tensor, " D"]:
            h = self._features(self.w)
            dh = forward(v).view(h.shape)
            h_bar, parts = self._last_layer(h, dh, self.problem.unflatten(v))
            total = adjoint(h_bar.reshape(-1))
            for name, part in self.problem.unflatten(total).items():
                if name in parts:
                    part += parts[name]
            return total

        return product

    def _last_layer(
        self, h: Float[Tensor, "T h"], dh: Float[Tensor, "T h"], tangents: dict[str, Tensor]
    ) -> tuple[Float[Tensor, "T h"], dict[str, Tensor]]:
        """u W, and the shares of the layer's own parameters that are measured."""
        state = self.problem.state()
        W = state[self._head.weight]
        bias = state[self._head.bias] if self._head.bias else None
        dW, db = tangents.get(self._head.weight), tangents.get(self._head.bias or "")
        shares = {
            name: torch.zeros_like(state[name])
            for name in (self._head.weight, self._head.bias)
            if name in tangents
        }
        h_bar = torch.empty_like(h)
        size = max(1, ROW_BYTES // (len(W) * W.element_size()))
        for start in range(0, len(h), size):
            rows = slice(start, start + size)
            z = torch.nn.functional.linear(h[rows], W, bias)
            dz = torch.nn.functional.linear(dh[rows], W, db)
            if dW is not None:
                dz.addmm_(h[rows], dW.T)
            u = self._logit_map(z, self._targets[rows], dz)
            torch.mm(u, W, out=h_bar[rows])
            if dW is not None:
                shares[self._head.weight].addmm_(u.T, h[rows])
            if db is not None and self._head.bias is not None:
                shares[self._head.bias] += u.sum(0)
        return h_bar, shares
