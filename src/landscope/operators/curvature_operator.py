"""What the operators on weight space share: one sum over the data of a derivative product."""

from abc import abstractmethod

from jaxtyping import Float
from torch import Tensor

from landscope.identity import digest
from landscope.operators.linear_operator import LinearOperator
from landscope.problem import Batch, Problem, checked_problem, problem_with_logits
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

    needs_logits = True
    """Whether it is defined through the logits alone."""

    def __init__(
        self,
        problem: Problem,
        *,
        method: ProductMethod | str = ProductMethod.AUTO,
        memory_limit: int | None = None,
        self_check: bool = True,
    ) -> None:
        if self.needs_logits:
            problem_with_logits(problem, type(self).__name__)
        else:
            checked_problem(problem)
        super().__init__((problem.num_params,) * 2, problem.dtype, problem.device)
        self.problem = problem
        self.ranks = problem.ranks
        with problem.together():
            self._sum = BatchSum(problem.local, self.derivative, method, memory_limit, self_check)

    def expect(self, num_products: int) -> None:
        """Hear that so many products are to come: the way of computing them is chosen by it."""
        self._sum.expect(num_products)

    def fingerprint(self) -> str:
        """SHA-256 of what it is and of the problem's own fingerprint; not of how it computes."""
        return digest([type(self), self.problem.fingerprint()])

    @abstractmethod
    def derivative(self, problem: Problem, batch: Batch) -> BatchDerivative:
        """What is summed over the data of a problem."""

    ridge = 0.0
    """λ of a multiple of the identity that is added to the sum over the data."""

    def matvec(self, v: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
        """Product with one vector."""
        return self._with_ridge(self.problem.over_ranks(lambda: self.share(v), like=v), v)

    def matmat(self, V: Float[Tensor, "n k"]) -> Float[Tensor, "m k"]:
        """Product with a block of vectors, at once."""
        return self._with_ridge(self.problem.over_ranks(lambda: self.share(V), like=V), V)

    def share(self, V: Float[Tensor, "n *k"]) -> Float[Tensor, "m *k"]:
        """What this process's data have in the product; all there is but for the ridge in one."""
        parts = self._sum.products(V) if V.ndim == 1 else self._sum.block_products(V)
        return self.problem.mean_over_terms(parts, self._sum.batch_of_piece)

    def _with_ridge(
        self, product: Float[Tensor, "n *k"], V: Float[Tensor, "n *k"]
    ) -> Float[Tensor, "n *k"]:
        return product.add_(V, alpha=self.ridge) if self.ridge else product

    @property
    def method(self) -> ProductMethod:
        """How products are computed at present; what was asked for before the first one."""
        return self._sum.method

    def explain(self) -> Explanation:
        """How products are computed, why so, and what they cost; times one on this process's data.

        Returns
        -------
        Explanation
            ``.method .reason .gradients .kept_bytes .num_pieces .num_kept .side_by_side``; as a
            string, one sentence.
        """
        return self._sum.explain(lambda: self.share(self.problem.parameters_vector()))
