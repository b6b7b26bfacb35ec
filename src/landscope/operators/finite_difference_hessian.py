"""The Hessian of a sharded model, by central differences of its gradient."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.arguments import real
from landscope.linalg.sharded import ShardedSpace
from landscope.operators.linear_operator import LinearOperator
from landscope.problem import ShardedProblem
from landscope.products.finite_difference import Balance, balance, step_length

CAUTION = 2.0
"""What the estimates of an error are multiplied by to bound it."""


@dataclass(frozen=True)
class DifferenceError:
    """How products are computed, and how far they are off.

    Attributes
    ----------
    step : float
        ε, the distance in weight space.
    error : float
        Bound of the relative error of a product with a random vector.
    gradients : int
        Gradients per product.
    """

    step: float
    error: float
    gradients: int = 2

    def __str__(self) -> str:
        """In one sentence."""
        return (
            f"central differences over ±{self.step:.3g}: {self.gradients} gradients per product, "
            f"columns of a block one by one, off by at most {self.error:.1g} of the norm along a "
            "random vector"
        )


class FiniteDifferenceHessian(LinearOperator):
    """The Hessian of a model that stays sharded: H v ≈ ‖v‖ [g(W + εu) − g(W − εu)] / 2ε + λ v.

    With u = v/‖v‖; homogeneous in v. FSDP has no second derivatives, so this is the way to products
    where no process can hold the model; two gradients each. Vectors are this process's parts.

    Parameters
    ----------
    problem : ShardedProblem
        The model, loss and data at one point of weight space.
    step : float, optional
        ε, a length in weight space. By default where rounding and truncation are in balance, both
        measured along a sharp direction, which takes some fifteen gradients.

    Attributes
    ----------
    step : float
        ε.
    space : ShardedSpace
        Where its vectors lie, and which entries of them are here.

    See Also
    --------
    Hessian : exact, for a model that fits on each process.

    Examples
    --------
    >>> import tempfile, torch, torch.distributed as dist, landscope as ls
    >>> from torch.distributed.fsdp import fully_shard
    >>> where = "file://" + tempfile.mktemp()
    >>> dist.init_process_group("gloo", init_method=where, rank=0, world_size=1)
    >>> mesh = dist.device_mesh.init_device_mesh("cpu", (1,))
    >>> model = fully_shard(torch.nn.Linear(2, 2, bias=False).double(), mesh=mesh)
    >>> data = (torch.eye(2), torch.tensor([0, 1]))
    >>> H = ls.FiniteDifferenceHessian(ls.ShardedProblem(model, data, loss="mse"))
    >>> (H @ torch.ones(4).double()).numpy().round(8)
    array([0.5, 0.5, 0.5, 0.5])
    >>> dist.destroy_process_group()
    """

    symmetric = True

    def __init__(self, problem: ShardedProblem, step: float | None = None) -> None:
        if not isinstance(problem, ShardedProblem):
            raise TypeError(
                f"problem is a {type(problem).__name__}; it must be a ShardedProblem (for a "
                "Problem there is Hessian(problem, method='finite_difference'))"
            )
        if step is not None:
            step = real("step", step, "(0, ∞)")
        super().__init__((problem.num_params,) * 2, problem.dtype, problem.device)
        self.problem, self.ranks = problem, problem.ranks
        self._W = problem.parameters_vector()
        self.step = step or self._balance.step

    @property
    def space(self) -> ShardedSpace:
        """Where its vectors lie."""
        return self.problem.space

    @property
    def columns(self) -> int:
        """Entries of the vectors that are given and returned here."""
        return self.problem.local_params

    def matvec(self, v: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The part held here of H v, the ridge of the weight decay included, from that of v."""
        return self._differences(v, self.step) + self.problem.weight_decay * v

    def error_bound(self, v: Float[Tensor, " n"]) -> float:
        """How far H v is off at most, relative to ‖H v‖; four gradients.

        Products with steps ε and 2ε differ by three times the truncation error of the first, and
        by 1.1 times its rounding error R ‖v‖ / ε, of which R is also known from the search for the
        best step. Twice their sum is the bound: rounding errors that lie in few directions may
        agree by chance.

        Parameters
        ----------
        v : Tensor, shape (d,)
            This process's part.

        Returns
        -------
        float
            The same on all processes; infinite where nothing of H v is certain.
        """
        near, far = self._differences(v, self.step), self._differences(v, 2 * self.step)
        rounding = self._balance.rounding / self.step * self._norm(v)
        error = CAUTION * (self._norm(far - near) + rounding)
        image = self._norm(near + self.problem.weight_decay * v)
        if error == 0:
            return 0.0
        return error / (image - error) if error < image else float("inf")

    def explain(self) -> DifferenceError:
        """The step and the error along a random vector; as a string, one sentence."""
        v = self.space.random(1, torch.Generator().manual_seed(0))[:, 0]
        return DifferenceError(self.step, self.error_bound(v))

    def _differences(self, v: Float[Tensor, " n"], step: float) -> Float[Tensor, " n"]:
        """‖v‖ [g(W + εu) − g(W − εu)] / 2ε, without the ridge."""
        length = self._norm(v)
        if length == 0:
            return torch.zeros_like(v)
        shift = step / length * v
        ahead, behind = (self.problem.at(self._W + s * shift) for s in (1, -1))
        change = ahead.gradient_of_terms() - behind.gradient_of_terms()
        return change * (length / (2 * step))

    @cached_property
    def _balance(self) -> Balance:
        """Where rounding and truncation are in balance along a direction of high curvature."""
        longest = step_length(self.problem.rounding, self._norm(self._W))
        sharp = self.space.random(1, torch.Generator().manual_seed(0))[:, 0]
        for _ in range(2):
            image = self._differences(sharp, longest / 16)
            sharp = image / (self._norm(image) or 1.0)
        return balance(longest, lambda step: self._differences(sharp, step), self._norm)

    def _norm(self, v: Float[Tensor, " n"]) -> float:
        """Over all processes."""
        return float(self.space.norms(v[:, None])[0])
