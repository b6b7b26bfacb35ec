"""Products of a scalar function's Hessian with vectors: ∇²f(w) v."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import grad, jvp

from landscope.products.linearization import linearize

Scalar = Callable[[Tensor], Tensor]
Product = Callable[[Tensor], Tensor]


def forward_over_reverse(f: Scalar, w: Float[Tensor, " D"]) -> Product:
    """v ↦ the directional derivative of ∇f along v; nothing is kept between products."""
    return lambda v: jvp(grad(f), (w,), (v,))[1]


def double_backward(f: Scalar, w: Float[Tensor, " D"]) -> Product:
    """v ↦ ∇(∇f·v), in reverse mode twice: slower, and right wherever autograd is."""

    def product(v: Float[Tensor, " D"]) -> Float[Tensor, " D"]:
        with torch.enable_grad():
            point = w.detach().clone().requires_grad_()
            (g,) = torch.autograd.grad(f(point), point, create_graph=True)
            if not g.requires_grad:  # f is linear in w
                return torch.zeros_like(w)
            (Hv,) = torch.autograd.grad(g, point, v, allow_unused=True)
        return torch.zeros_like(w) if Hv is None else Hv

    return product


class HessianVector:
    """v ↦ ∇²f(w) v, by forward-over-reverse until it is linearised or found wrong.

    Parameters
    ----------
    f : callable
        Scalar function of a flat vector.
    w : Tensor, shape (D,)
        The point.

    Examples
    --------
    >>> import torch
    >>> product = HessianVector(lambda w: (w**3).sum(), torch.tensor([1.0, 2.0]))
    >>> product(torch.tensor([1.0, 1.0]))
    tensor([ 6., 12.])
    """

    def __init__(self, f: Scalar, w: Float[Tensor, " D"]) -> None:
        self._f, self._w = f, w
        self._product = forward_over_reverse(f, w)

    def __call__(self, v: Float[Tensor, " D"]) -> Float[Tensor, " D"]:
        """∇²f(w) v."""
        return self._product(v)

    def linearize(self) -> int:
        """Keep the primal pass from now on; the bytes that this takes."""
        _, self._product, num_bytes = linearize(grad(self._f), self._w)
        return num_bytes

    def release(self) -> None:
        """Keep nothing between products from now on."""
        self._product = forward_over_reverse(self._f, self._w)

    def use_reference(self) -> None:
        """Compute by double backward from now on."""
        self._product = double_backward(self._f, self._w)

    def asymmetry(self, u: Float[Tensor, " D"], v: Float[Tensor, " D"]) -> float:
        """|u·∇²f v − v·∇²f u| over the size of the products."""
        Hu, Hv = self(u).double(), self(v).double()
        difference = (u.double() @ Hv - v.double() @ Hu).abs()
        return float(difference / self._scale(v, Hu.norm() + Hv.norm()))

    def error(self, v: Float[Tensor, " D"]) -> float:
        """‖∇²f v − its double backward‖ over the size of the latter."""
        reference = double_backward(self._f, self._w)(v).double()
        return float((self(v).double() - reference).norm() / self._scale(v, reference.norm()))

    def _scale(self, v: Float[Tensor, " D"], size: Tensor) -> Tensor:
        """A Hessian that cancels to nearly nothing is judged on the scale of the gradient."""
        gradient = grad(self._f)(self._w).double()
        scale = size + gradient.norm() * v.double().norm() / (1 + self._w.double().norm())
        return scale.clamp_min(torch.finfo(torch.float64).tiny)
