"""An affine hyperplane of weight space, W = W₀ + Pθ."""

import json
from typing import Any

from jaxtyping import Float
from torch import Tensor

from landscope import arguments as check
from landscope.geometry.point_operators import Methods, PointOperators
from landscope.hyperplanes.basis import Basis
from landscope.hyperplanes.curvature import HyperplaneCurvature, curvature_of
from landscope.hyperplanes.draw import draw_basis
from landscope.hyperplanes.given import given_basis
from landscope.hyperplanes.kind import BasisKind
from landscope.hyperplanes.model import HyperplaneModel
from landscope.identity import tensor_digest
from landscope.operators import Projected
from landscope.problem import NonFiniteError, Problem, checked_problem
from landscope.products import ProductMethod


class AffineHyperplane:
    """The points W = W₀ + Pθ, θ ∈ R^d, of a problem's weight space.

    Parameters
    ----------
    problem : Problem
        The model, loss and data.
    dim : int, optional
        d, from 1 to D; the number of `vectors` where they are given.
    kind : BasisKind or str
        How P is drawn, kept and applied: "dense" (uniform, orthonormal), "gaussian", "sparse",
        "fastfood", or "given"; `BasisKind` says when each wins.
    seed : int
        Of P, which it determines together with D, d and the kind.
    origin : Tensor of shape (D,), optional
        W₀; the problem's own weights if absent.
    vectors : Tensor of shape (D, d), optional
        Columns of P, orthonormal to 1e-3: top Hessian eigenvectors, centroids, a path of training.
    orthonormalise : bool
        Take an orthonormal basis of the span of `vectors` instead of refusing them.

    Attributes
    ----------
    problem, origin, dim, kind, seed
        As given.
    basis : Basis
        P, a linear map with ``@``, ``.T``, ``.to_dense()`` and ``.orthonormality_bound``.

    Raises
    ------
    TypeError, ValueError
        For d outside 1 to D, an unknown kind, a seed below 0, an origin of another length or with
        NaN, vectors that are not orthonormal.

    Notes
    -----
    Fort & Ganguli 2019, arXiv:1910.05929, property 4; Li et al. 2018, arXiv:1804.08838.

    Examples
    --------
    Train in it, with any optimiser, and measure the curvature it sees:

    >>> import torch, landscope as ls
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    >>> x, y = torch.randn(30, 4), torch.arange(30) % 3
    >>> hyperplane = ls.AffineHyperplane(ls.Problem(net, (x, y)), dim=10, seed=1)
    >>> model = hyperplane.model()
    >>> optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    >>> for step in range(20):
    ...     optimizer.zero_grad()
    ...     loss = torch.nn.functional.cross_entropy(model(x), y)
    ...     loss.backward()
    ...     optimizer.step()
    >>> found = hyperplane.curvature(theta=model.theta)
    >>> found.eigenvalues.shape, bool(hyperplane.at(model.theta).loss() < hyperplane.at().loss())
    (torch.Size([10]), True)
    """

    def __init__(
        self,
        problem: Problem,
        dim: int | None = None,
        kind: BasisKind | str | None = None,
        seed: int = 0,
        origin: Float[Tensor, " D"] | None = None,
        *,
        vectors: Float[Tensor, "D d"] | None = None,
        orthonormalise: bool = False,
    ) -> None:
        checked_problem(problem)
        seed, orthonormalise = check.seed(seed), check.flag("orthonormalise", orthonormalise)
        if origin is not None:
            _check_length("origin", origin, problem.num_params)
            if not bool(origin.isfinite().all()):
                raise NonFiniteError("origin has NaN or infinity; its weights must be finite")
        self.problem = problem if origin is None else problem.at(origin)
        self.origin = self.problem.parameters_vector()
        self.kind = _resolved(kind, vectors)
        self.seed = seed
        self.basis = self._basis(dim, vectors, orthonormalise)
        self.dim = self.basis.shape[1]

    def _basis(
        self, dim: int | None, vectors: Float[Tensor, "D d"] | None, orthonormalise: bool
    ) -> Basis:
        problem = self.problem
        if vectors is None:
            if dim is None:
                raise ValueError(
                    "dim is absent; it must be an integer from 1 to D = "
                    f"{problem.num_params:,}, or vectors be given"
                )
            return draw_basis(
                self.kind, problem.num_params, dim, self.seed, problem.dtype, problem.device
            )
        basis = given_basis(
            vectors, orthonormalise=orthonormalise, dtype=problem.dtype, device=problem.device
        )
        if basis.shape[0] != problem.num_params or dim not in (None, basis.shape[1]):
            raise ValueError(
                f"vectors has shape {basis.shape}; it must be ({problem.num_params}, "
                f"{basis.shape[1] if dim is None else dim})"
            )
        return basis

    def __repr__(self) -> str:
        return (
            f"AffineHyperplane({self.dim:,} of {self.problem.num_params:,} dimensions, "
            f"{self.kind}, seed {self.seed})"
        )

    def point(self, theta: Float[Tensor, " d"] | None = None) -> Float[Tensor, " D"]:
        """W₀ + Pθ; W₀ where θ is absent."""
        return self.origin.clone() if theta is None else self.origin + self.basis @ theta

    def at(self, theta: Float[Tensor, " d"] | None = None) -> Problem:
        """The problem at W₀ + Pθ."""
        return self.problem.at(self.point(theta))

    def coordinates(self, weights: Float[Tensor, " D"]) -> Float[Tensor, " d"]:
        """θ = Pᵀ(W − W₀): of the point of the hyperplane that is nearest, for orthonormal P."""
        _check_length("weights", weights, self.problem.num_params)
        return self.basis.T @ (weights - self.origin)

    def gradient(self, theta: Float[Tensor, " d"] | None = None) -> Float[Tensor, " d"]:
        """∂L/∂θ = Pᵀ g at W₀ + Pθ."""
        return self.basis.T @ self.at(theta).gradient()

    def model(self) -> HyperplaneModel:
        """The problem's model with θ as its only parameter, at θ = 0.

        Raises
        ------
        TypeError
            Where the problem's model is a function: `point` and `gradient` serve it.
        """
        return HyperplaneModel(self.problem, self.basis, self.identity())

    def curvature(
        self,
        operator: Any = "hessian",
        theta: Float[Tensor, " d"] | None = None,
        *,
        exact: bool | None = None,
        method: Methods = ProductMethod.AUTO,
        memory_limit: int | None = None,
        seed: int = 0,
    ) -> HyperplaneCurvature:
        """Measure PᵀHP, or PᵀGP, at W₀ + Pθ.

        Parameters
        ----------
        operator : {"hessian", "gauss_newton", "logit_curvature"} or operator
            What is projected; an operator of this very point saves building it again.
        theta : Tensor of shape (d,), optional
            0 if absent.
        exact : bool, optional
            Whether to build the d × d matrix, by d products in blocks; up to d = 512 if absent.
            Otherwise trace and norm are estimated, and the share of positive eigenvalues is the
            mass above 0 of their spectral density.
        method, memory_limit
            Of the products, as of `landscope.curvature`.
        seed : int
            Of the probes.

        Returns
        -------
        HyperplaneCurvature
        """
        A = PointOperators(self.at(theta), method, memory_limit).resolve(operator)
        return curvature_of(Projected(A, self.basis), exact, seed)

    def identity(self) -> str:
        """What makes this hyperplane this one, as a line of JSON: θ alone says nothing."""
        given = self.kind is BasisKind.GIVEN
        basis = {"vectors": tensor_digest(self.basis.to_dense())} if given else {"seed": self.seed}
        shape = {"kind": str(self.kind), "num_params": self.problem.num_params, "dim": self.dim}
        parts = {name: self.problem.digest_of(name) for name in ("model", "frozen", "weights")}
        return json.dumps({**shape, **basis, **parts})


def _check_length(name: str, vector: Any, length: int) -> None:
    if not isinstance(vector, Tensor) or vector.shape != (length,):
        came = tuple(vector.shape) if isinstance(vector, Tensor) else type(vector).__name__
        raise ValueError(f"{name} is {came}; it must be a tensor of shape ({length},)")


def _resolved(kind: BasisKind | str | None, vectors: Tensor | None) -> BasisKind:
    if kind is None:
        return BasisKind.DENSE if vectors is None else BasisKind.GIVEN
    resolved = BasisKind(check.choice("kind", kind, BasisKind))
    if (resolved is BasisKind.GIVEN) != (vectors is not None):
        raise ValueError(
            f"kind is {resolved.value!r}, vectors are {'absent' if vectors is None else 'there'}; "
            "vectors go with the kind 'given', and with no other"
        )
    return resolved
