"""The Hessian H = ∂²L/∂W² of the mean loss."""

from landscope.operators.curvature_operator import CurvatureOperator
from landscope.problem import Batch, Problem
from landscope.problem.losses import total
from landscope.products import HessianVector


class Hessian(CurvatureOperator):
    """The Hessian of the mean loss, H = G + R (+ λ I with weight decay λ).

    Parameters
    ----------
    problem : Problem
        The model, loss and data at one point of weight space.
    method : ProductMethod or str
        How products are computed: "auto" or one of the ways that `ProductMethod` compares.
    memory_limit : int, optional
        Bytes that products may take beside the model and the data; by default 40 % of the memory
        that is free.
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

    needs_logits = False

    def derivative(self, problem: Problem, batch: Batch) -> HessianVector:
        """The Hessian of the batch's summed loss."""
        loss, targets = problem.loss_terms, batch.targets.to(problem.device)
        return HessianVector(
            problem, batch, "loss", lambda z, targets: total(loss, z, targets), [targets]
        )

    @property
    def ridge(self) -> float:  # type: ignore[override]
        """λ of the weight decay."""
        return self.problem.weight_decay
