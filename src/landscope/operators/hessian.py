"""The Hessian H = ∂²L/∂W² of the mean loss."""

from jaxtyping import Float
from torch import Tensor

from landscope.operators.curvature_operator import CurvatureOperator
from landscope.problem import Batch
from landscope.products import HessianVector


class Hessian(CurvatureOperator[HessianVector]):
    """The Hessian of the mean loss, H = G + R (+ λ I with weight decay λ).

    Parameters
    ----------
    problem : Problem
        The model, loss and data at one point of weight space.
    memory_limit : int, optional
        Bytes that linearised batches may take; by default 40 % of the free memory.
    self_check : bool
        Compare the fast product with double backward before the first use.

    See Also
    --------
    GaussNewton : G, the part that the model explains.
    LogitCurvature : R, the part that it neglects.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> model = torch.nn.Linear(2, 2, bias=False)
    >>> problem = ls.Problem(model, (torch.eye(2), torch.tensor([0, 1])), loss="mse")
    >>> (ls.Hessian(problem) @ torch.ones(4)).numpy()
    array([0.5, 0.5, 0.5, 0.5], dtype=float32)
    """

    def derivative(self, batch: Batch) -> HessianVector:
        """The Hessian of the batch's summed loss."""
        return HessianVector(self.problem.batch_loss(batch), self.problem.parameters_vector())

    def batch_product(
        self, batch: Batch, derivative: HessianVector, v: Float[Tensor, " D"]
    ) -> Float[Tensor, " D"]:
        """∂²(Σ_μ L^μ)/∂W² v."""
        return derivative(v)

    def matvec(self, v: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
        """H v, the ridge of the weight decay included."""
        return super().matvec(v) + self.problem.weight_decay * v
