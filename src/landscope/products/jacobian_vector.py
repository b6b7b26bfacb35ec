"""Products of a function's Jacobian with vectors, from both sides: J v and Jᵀ u."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jvp, vjp

from landscope.products.linearization import linearize

Logits = Callable[[Tensor], Tensor]


def value_and_pullback(
    z: Callable[[Tensor], Tensor], w: Tensor
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """z(w), and u ↦ Jᵀ u, which may be called again and again."""
    value, pull, *_ = vjp(z, w)
    return value, lambda u: pull(u)[0]


def double_reverse(z: Logits, w: Float[Tensor, " D"]) -> Callable[[Tensor], Tensor]:
    """v ↦ J v = ∇_u (Jᵀ u · v), in reverse mode twice."""

    def product(v: Float[Tensor, " D"]) -> Float[Tensor, "T C"]:
        values, pull = value_and_pullback(z, w)
        _, push = value_and_pullback(pull, torch.zeros_like(values))
        return push(v)

    return product


class JacobianVector:
    """J v and Jᵀ u of one batch's logits at one point of weight space.

    Parameters
    ----------
    z : callable
        W ↦ logits (T, C).
    w : Tensor, shape (D,)
        The point.

    Examples
    --------
    >>> import torch
    >>> A = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> J = JacobianVector(lambda w: (A @ w)[None], torch.zeros(2))
    >>> J.forward(torch.tensor([1.0, 0.0])), J.adjoint(torch.tensor([[1.0, 0.0]]))
    (tensor([[1., 3.]]), tensor([1., 2.]))
    """

    def __init__(self, z: Logits, w: Float[Tensor, " D"]) -> None:
        self._z, self._w = z, w
        self._values: Callable[[], Tensor]
        self._forward: Callable[[Tensor], Tensor]
        self._adjoint: Callable[[Tensor], Tensor]
        self.release()

    def values(self) -> Float[Tensor, "T C"]:
        """The logits themselves."""
        return self._values()

    def forward(self, v: Float[Tensor, " D"]) -> Float[Tensor, "T C"]:
        """J v: how the logits move along v."""
        return self._forward(v)

    def adjoint(self, u: Float[Tensor, "T C"]) -> Float[Tensor, " D"]:
        """Jᵀ u = Σ_μ Σ_k u_k^μ J_k^μ."""
        return self._adjoint(u)

    def linearize(self) -> int:
        """Keep the primal pass from now on; the bytes that this takes."""
        values, forward, num_bytes = linearize(self._z, self._w)
        self._values = lambda: values
        self._forward = forward
        _, self._adjoint = value_and_pullback(self._z, self._w)
        # The backward graph keeps the activations, of which the tangent map has its own copy.
        return 2 * num_bytes

    def release(self) -> None:
        """Keep nothing between products from now on."""
        z, w = self._z, self._w
        self._values = lambda: z(w)
        self._forward = lambda v: jvp(z, (w,), (v,))[1]
        self._adjoint = lambda u: value_and_pullback(z, w)[1](u)

    def use_reference(self) -> None:
        """Compute J v in reverse mode from now on."""
        self.release()
        self._forward = double_reverse(self._z, self._w)

    def asymmetry(self, u: Float[Tensor, " D"], v: Float[Tensor, " D"]) -> float:
        """|Ju·Jv − u·Jᵀ(Jv)| over its size: whether J v and Jᵀ u belong to one J."""
        Ju, Jv = self.forward(u).double(), self.forward(v)
        inner = (Ju * Jv.double()).sum()
        difference = (inner - u.double() @ self.adjoint(Jv).double()).abs()
        scale = Ju.norm() * Jv.double().norm()
        return float(difference / scale.clamp_min(torch.finfo(torch.float64).tiny))

    def error(self, v: Float[Tensor, " D"]) -> float:
        """‖J v − its reverse-mode value‖ over the size of the latter."""
        reference = double_reverse(self._z, self._w)(v).double()
        scale = reference.norm().clamp_min(1e-300)
        return float((self.forward(v).double() - reference).norm() / scale)
