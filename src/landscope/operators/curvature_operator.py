"""What the operators on weight space share: one sum over the data of a derivative product."""

from abc import abstractmethod

from jaxtyping import Float
from torch import Tensor

from landscope.operators.linear_operator import LinearOperator
from landscope.problem import Batch, Problem
from landscope.products import BatchSum, Explanation, ProductMethod
from landscope.products.batch_derivative import BatchDerivative


class CurvatureOperator(LinearOperator):
    """A symmetric D × D map (1/N) Σ over the data of a product with a derivative.

    Parameters
    ----------
    problem : Problem
        The model, loss and data at one point of weight space.
    method : ProductMethod or str
        How products are computed.
    memory_limit : int, optional
        Bytes that products may take beside the model and the data; by default 40 % of the memory
        that is free.
    self_check : bool
        Compare the fast product with an independent one before the first use.
    """

    symmetric = True

    def __init__(
        self,
        problem: Problem,
        *,
        method: ProductMethod | str = ProductMethod.AUTO,
        memory_limit: int | None = None,
        self_check: bool = True,
    ) -> None:
        if not isinstance(problem, Problem):
            raise TypeError(
                f"problem is a {type(problem).__name__}; it must be a Problem(model, data, ...)"
            )
        super().__init__((problem.num_params,) * 2, problem.dtype, problem.device)
        self.problem = problem
        self._sum = BatchSum(problem, self.derivative, method, memory_limit, self_check)

    @abstractmethod
    def derivative(self, batch: Batch) -> BatchDerivative:
        """What is summed over the data."""

    def matvec(self, v: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
        """Product with one vector."""
        return self.problem.mean_over_terms(self._sum.products(v), self._sum.batch_of_piece)

    def matmat(self, V: Float[Tensor, "n k"]) -> Float[Tensor, "m k"]:
        """Product with a block of vectors, at once."""
        return self.problem.mean_over_terms(self._sum.block_products(V), self._sum.batch_of_piece)

    @property
    def method(self) -> ProductMethod:
        """How products are computed at present; what was asked for before the first one."""
        return self._sum.method

    def explain(self) -> Explanation:
        """How products are computed, why so, and what they cost; times one product.

        Returns
        -------
        Explanation
            ``.method .reason .gradients .kept_bytes .num_pieces .num_kept .side_by_side``; as a
            string, one sentence.
        """
        return self._sum.explain(lambda: self.matvec(self.problem.parameters_vector()))
