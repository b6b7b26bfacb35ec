"""Mini-batch training of a problem: of all its weights, or of its place in a hyperplane."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import grad
from torch.optim import Adam

from landscope.arguments import real, whole
from landscope.hyperplanes import AffineHyperplane
from landscope.problem import Batch, NonFiniteError, Problem
from landscope.problem.losses import normalizer
from landscope.products.example_chunks import joinable
from landscope.training.config import MOST_STEPS
from landscope.training.learning_rate import learning_rate


@dataclass(frozen=True)
class AdamDescent:
    """How a problem is trained: Adam on mini-batches, its rate falling to zero along a cosine.

    Attributes
    ----------
    steps : int
        Updates.
    batch_size : int
        Examples of a mini-batch, in an order drawn anew in each epoch.
    step_size : float
        Root mean square of the first update of a weight in a hyperplane: the learning rate of θ is
        step_size·√(D/d), so that it means the same for every d.
    full_step_size : float
        The learning rate where all weights are trained.

    Raises
    ------
    ValueError
        For a number that is not positive, or no whole one of steps or examples.

    Examples
    --------
    >>> AdamDescent().rate_in_hyperplane(num_params=10_000, dim=100)
    0.1
    """

    steps: int = 600
    batch_size: int = 64
    step_size: float = 0.01
    full_step_size: float = 0.002

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            whole(name, getattr(self, name), 1, MOST_STEPS)
        for name in ("step_size", "full_step_size"):
            real(name, getattr(self, name), "(0, ∞)")

    def rate_in_hyperplane(self, num_params: int, dim: int) -> float:
        """Learning rate of θ before it falls."""
        return float(self.step_size * (num_params / dim) ** 0.5)

    def in_hyperplane(self, hyperplane: AffineHyperplane, seed: int = 0) -> Float[Tensor, " D"]:
        """Train θ from 0; return the weights W₀ + Pθ that it ends with.

        Raises
        ------
        NonFiniteError
            If a gradient becomes NaN or infinite.
        """
        problem, basis = hyperplane.problem, hyperplane.basis
        theta = nn.Parameter(problem.parameters_vector().new_zeros(hyperplane.dim))

        def gradient(batch: Batch) -> Float[Tensor, " d"]:
            return basis.T @ _mean_gradient(problem, batch, hyperplane.point(theta))

        rate = self.rate_in_hyperplane(problem.num_params, hyperplane.dim)
        self._follow(theta, gradient, problem, rate, seed)
        return hyperplane.point(theta)

    def in_full(self, problem: Problem, seed: int = 0) -> Float[Tensor, " D"]:
        """Train all weights; return those that it ends with.

        Raises
        ------
        NonFiniteError
            If a gradient becomes NaN or infinite.
        """
        weights = nn.Parameter(problem.parameters_vector())

        def gradient(batch: Batch) -> Float[Tensor, " D"]:
            return _mean_gradient(problem, batch, weights.detach())

        self._follow(weights, gradient, problem, self.full_step_size, seed)
        return weights.detach()

    def _follow(
        self,
        parameter: nn.Parameter,
        gradient: Callable[[Batch], Tensor],
        problem: Problem,
        rate: float,
        seed: int,
    ) -> None:
        optimizer = Adam([parameter], lr=rate)
        for step, batch in zip(range(self.steps), self._batches(problem, seed), strict=False):
            optimizer.param_groups[0]["lr"] = learning_rate(step, self.steps, rate, "cosine")
            parameter.grad = gradient(batch)
            if not bool(parameter.grad.isfinite().all()):
                raise NonFiniteError(
                    f"a gradient has NaN or infinity at step {step} of {self.steps}: training has "
                    "diverged; a smaller step size may help"
                )
            optimizer.step()

    def _batches(self, problem: Problem, seed: int) -> Iterator[Batch]:
        """Epoch after epoch, each example once in each; for an objective, whole batches."""
        in_one = problem.has_logits and joinable(problem)
        groups = [Batch.join(problem.batches)] if in_one else list(problem.batches)
        for epoch in count():
            rng = np.random.default_rng([seed, epoch])
            for place in rng.permutation(len(groups)):
                order = torch.from_numpy(rng.permutation(groups[place].num_rows))
                size = self.batch_size if problem.has_logits else len(order)
                for examples in order.split(size):
                    batch = groups[place].take(examples)
                    if normalizer(problem.loss_terms, batch.targets.to(problem.device)) > 0:
                        yield batch


def _mean_gradient(problem: Problem, batch: Batch, weights: Tensor) -> Float[Tensor, " D"]:
    """Of the problem's loss with the mini-batch as its data, the ridge included."""
    share = normalizer(problem.loss_terms, batch.targets.to(problem.device))
    return grad(problem.batch_loss(batch))(weights) / share + problem.weight_decay * weights
