"""What the operators on weight space share: one sum over batches of a derivative product."""

from abc import abstractmethod
from typing import Generic, TypeVar

from jaxtyping import Float
from torch import Tensor

from landscope.operators.linear_operator import LinearOperator
from landscope.problem import Batch, Problem
from landscope.products import HessianVector, JacobianVector, Repeated

Derivative = TypeVar("Derivative", HessianVector, JacobianVector)


class CurvatureOperator(LinearOperator, Generic[Derivative]):
    """A symmetric D × D map (1/N) Σ over batches of a product with the batch's derivatives.

    Parameters
    ----------
    problem : Problem
        The model, loss and data at one point of weight space.
    memory_limit : int, optional
        Bytes that linearised batches may take; by default 40 % of the free memory.
    self_check : bool
        Compare the fast product with an independent one before the first use.
    """

    symmetric = True

    def __init__(
        self, problem: Problem, *, memory_limit: int | None = None, self_check: bool = True
    ) -> None:
        if not isinstance(problem, Problem):
            raise TypeError(
                f"problem is a {type(problem).__name__}; it must be a Problem(model, data, ...)"
            )
        super().__init__((problem.num_params,) * 2, problem.dtype, problem.device)
        self.problem = problem
        self._derivatives: Repeated[Derivative] = Repeated(
            [self.derivative(batch) for batch in problem.batches],
            problem.parameters_vector(),
            memory_limit,
            self_check,
        )

    @abstractmethod
    def derivative(self, batch: Batch) -> Derivative:
        """What is differentiated on one batch."""

    @abstractmethod
    def batch_product(
        self, batch: Batch, derivative: Derivative, v: Float[Tensor, " D"]
    ) -> Float[Tensor, " D"]:
        """The batch's sum over its terms, times v."""

    def matvec(self, v: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
        """Product with one vector."""
        return self.problem.mean_over_terms(
            self.batch_product(batch, derivative, v)
            for batch, derivative in zip(self.problem.batches, self._derivatives, strict=True)
        )
