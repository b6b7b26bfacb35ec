"""What the derivative products of one batch have in common: the ways of computing them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.problem import Batch, Problem
from landscope.products.finite_difference import step_length
from landscope.products.traced import TracedProduct

Product = Callable[[Tensor], Tensor]


class BatchDerivative(ABC):
    """A linear map v ↦ A v that is a derivative of one batch's logits or loss.

    Parameters
    ----------
    problem : Problem
        The model and loss at one point of weight space.
    batch : Batch
        Some of its data.
    """

    kind: ClassVar[str]
    """What is differentiated; graphs are shared by batches of the same kind and shapes."""

    def __init__(self, problem: Problem, batch: Batch) -> None:
        self.problem, self.batch = problem, batch
        self.w = problem.weights  # the same for all pieces of the data

    @abstractmethod
    def forward_mode(self) -> Product:
        """By torch's forward mode, from the start at each product."""

    @abstractmethod
    def reverse_mode(self) -> Product:
        """By torch's reverse mode alone: slower, and right wherever autograd is."""

    @abstractmethod
    def cached_graph(self) -> Product:
        """By reverse mode alone, with the graph of the first pass kept."""

    @abstractmethod
    def finite_difference(self, shorter: float = 1.0) -> Product:
        """By central differences of first derivatives, with a step that is so much shorter."""

    def differences(
        self, f: Callable[[Tensor], Tensor], shorter: float
    ) -> Callable[[Tensor], Tensor]:
        """v ↦ (f(w + h v) − f(w − h v)) / 2h; rows that torch gives no gradient stay."""

        def product(v: Tensor) -> Tensor:
            v = self.problem.without_padding(v)
            return central_difference(f, self.w, v, self.problem.rounding, shorter)

        return product

    @abstractmethod
    def graph(self, inputs: Sequence[Tensor]) -> TracedProduct:
        """The product as a pair of graphs."""

    @abstractmethod
    def extra_inputs(self) -> list[Tensor]:
        """What enters the product beside the weights, the model's other state and the data."""

    def directions(self, v: Float[Tensor, " n"]) -> list[Tensor]:
        """A vector as the directions of the graph: by default one for each parameter."""
        return list(self.problem.unflatten(v).values())

    @property
    def length(self) -> int:
        """Length of the vectors."""
        return self.problem.num_params

    def inputs(self) -> list[Tensor]:
        """What the graph's primal part takes."""
        logits = self.problem.logits_of(self.batch)
        return [*logits.inputs, *self.extra_inputs()]

    @property
    def signature(self) -> Hashable:
        """Equal for derivatives that share a graph."""
        extra = tuple((tuple(x.shape), x.dtype) for x in self.extra_inputs())
        return (self.kind, type(self).__name__, self.problem.logits_of(self.batch).signature, extra)

    @property
    def parts(self) -> list["BatchDerivative"]:
        """The derivatives that have a graph; by default this one."""
        return [self]

    def assembled(self, products: list[Product]) -> Product:
        """The product from those of the parts."""
        return products[0]

    def asymmetry(self, product: Product, u: Tensor, v: Tensor) -> float:
        """Relative distance from the symmetry that the true derivative has; 0 for no symmetry."""
        return 0.0

    def scale(self, v: Tensor) -> float:
        """A size below which a product counts as zero."""
        return 0.0


def leaves_of(inputs: Sequence[Tensor], count: int) -> list[Tensor]:
    """The first inputs as leaves of a new autograd graph."""
    return [x.detach().requires_grad_() for x in inputs[:count]]


def step_along(w: Float[Tensor, " D"], v: Float[Tensor, " D"], rounding: float) -> float:
    """The step h of central differences along v at w: rounding and truncation in balance.

    h ‖v‖ is the `step_length`, for any length of v.
    """
    length = float(torch.linalg.vector_norm(v, dtype=torch.float64))
    size = float(torch.linalg.vector_norm(w, dtype=torch.float64))
    return step_length(rounding, size) / length if length else 1.0


def central_difference(
    f: Callable[[Tensor], Tensor], w: Tensor, v: Tensor, rounding: float, shorter: float = 1.0
) -> Tensor:
    """(f(w + h v) − f(w − h v)) / 2h."""
    h = step_along(w, v, rounding) / shorter
    return (f(w + h * v) - f(w - h * v)) / (2 * h)
