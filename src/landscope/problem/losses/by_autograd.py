"""A loss whose derivatives in the logits autograd takes."""

from abc import ABC, abstractmethod

from jaxtyping import Float, Shaped
from torch import Tensor
from torch.func import grad, vjp


class LossByAutograd(ABC):
    """A loss that says its terms alone.

    The terms do not depend on each other's logits, so that one derivative of their sum holds those
    of each: the gradient is ∂(Σ_μ L^μ)/∂z, and M v the derivative of (gradient · v), in reverse
    mode twice. Both are exact.
    """

    @abstractmethod
    def terms(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, " T"]:
        """Loss of each term."""

    def total(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, ""]:
        """Sum of the terms."""
        return self.terms(logits, targets).sum()

    def gradient(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, "T C"]:
        """Gradient of each term in its logits."""
        return grad(lambda z: self.total(z, targets))(logits)

    def hessian_vector_product(
        self,
        logits: Float[Tensor, "T C"],
        targets: Shaped[Tensor, "T ..."],
        vectors: Float[Tensor, "T C"],
    ) -> Float[Tensor, "T C"]:
        """M^μ v^μ for each term."""
        _, pull, *_ = vjp(lambda z: self.gradient(z, targets), logits)
        return pull(vectors)[0]
