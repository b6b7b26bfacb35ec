"""An operator of your own, through the conformance suite, and then its spectrum.

    python examples/own_operator.py

The covariance of the gradients of single examples about their mean: the noise of minibatches.
"""

import torch

import landscope as ls
from landscope.testing import check_operator

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3)).double()
inputs = torch.randn(50, 8, dtype=torch.float64)
problem = ls.Problem(model, (inputs, (inputs @ torch.randn(8, 3).double()).argmax(1)))


class GradientCovariance:
    """Σ = F − g gᵀ, with F the empirical Fisher matrix and g the mean gradient."""

    symmetric = psd = True

    def __init__(self, problem: ls.Problem) -> None:
        self.fisher, self.gradient = ls.EmpiricalFisher(problem), problem.gradient()
        self.shape, self.dtype = self.fisher.shape, self.fisher.dtype
        self.device = self.fisher.device

    def __matmul__(self, v: torch.Tensor) -> torch.Tensor:
        g = self.gradient
        along = g @ v
        return self.fisher @ v - (g[:, None] * along if v.ndim == 2 else g * along)


def covariance_of_single_gradients(problem: ls.Problem) -> torch.Tensor:
    """The same matrix in another way: one gradient for each example."""
    inputs, targets = problem.batches[0].data
    gradients = torch.stack(
        [
            ls.Problem(model, (inputs[i : i + 1], targets[i : i + 1])).gradient()
            for i in range(len(inputs))
        ]
    )
    return torch.cov(gradients.T, correction=0)


noise, explicit = GradientCovariance(problem), covariance_of_single_gradients(problem)
check_operator(noise, dense=explicit)
print("conforms: symmetric, linear, blocks as columns, equal to the matrix", tuple(explicit.shape))

steepest = ls.eigsh(noise, k=3)
print("largest eigenvalues", steepest.values.tolist())
print("trace", ls.trace(noise), "exactly", float(explicit.trace()))
H = ls.Projected(ls.Hessian(problem), steepest.vectors)
print("curvature along them", H.to_dense().diagonal().tolist())
