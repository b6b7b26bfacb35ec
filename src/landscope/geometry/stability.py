"""How far training is from the edge of stability: λ_max(P⁻¹H) against the limit of its update."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import xarray as xr
from jaxtyping import Float
from torch import Tensor, nn

from landscope import arguments as check
from landscope.geometry.point_operators import Methods, PointOperators
from landscope.geometry.update_rule import update_rule
from landscope.geometry.variables import variables
from landscope.linalg import Eigenpairs, eigsh
from landscope.linalg.eigsh import checked_search
from landscope.operators import Preconditioned
from landscope.problem import Problem, checked_problem
from landscope.products import ProductMethod

EDGE = 0.9
"""Training is at the edge of stability from this share of the limit on."""


@dataclass(frozen=True)
class Stability:
    """The sharpness that an optimiser sees, against the largest at which it is stable.

    Attributes
    ----------
    sharpness : float
        λ_max(H) of the Hessian.
    preconditioned_sharpness : float
        λ_max(P⁻¹(H + Λ)), with P the optimiser's preconditioner and Λ the weight decay that it adds
        to the gradient. That of gradient descent without weight decay is the sharpness.
    residual : float
        ‖Av − λv‖ of its eigenpair, A = P^(−1/2)(H + Λ)P^(−1/2); NaN where λ was given.
    learning_rate : float
        η at present. Of parameter groups with several it is the largest, and lower ones are part of
        P; where all are 0 they count as equal.
    threshold : float
        The limit of η λ_max(P⁻¹H): 2 for gradient descent.
    rule : str
        "gradient descent", "heavy ball", "Nesterov", "Adam", "AdamW" or "RMSprop".
    preconditioned : bool
        Whether P differs from the identity: then the limit is none of λ_max(H).
    vector : Tensor of shape (D,), or None
        v, where to start at the next step; None where λ was given.
    """

    sharpness: float
    preconditioned_sharpness: float
    residual: float
    learning_rate: float
    threshold: float
    rule: str
    preconditioned: bool
    vector: Float[Tensor, " D"] | None = field(repr=False)

    @property
    def limit(self) -> float:
        """The largest stable preconditioned sharpness, such as 2/η; infinite at η = 0."""
        return self.threshold / self.learning_rate if self.learning_rate else math.inf

    @property
    def ratio(self) -> float:
        """The preconditioned sharpness in units of its limit: 1 is the limit itself; 0 at η = 0."""
        if self.learning_rate == 0:
            return 0.0
        return self.learning_rate * self.preconditioned_sharpness / self.threshold

    @property
    def at_edge(self) -> bool:
        """Whether that ratio is 0.9 or more: at the edge of stability, or beyond it."""
        return self.ratio >= EDGE

    @property
    def max_learning_rate(self) -> float:
        """The largest stable η here and now; infinite without positive curvature."""
        if self.preconditioned_sharpness <= 0:
            return math.inf
        return self.threshold / self.preconditioned_sharpness

    def variables(self) -> dict[str, xr.DataArray]:
        """The numbers with their definitions, to be assigned to a snapshot of `measure`.

        Returns
        -------
        dict
            ``learning_rate``, ``preconditioned_sharpness`` with its ``…_residual``,
            ``sharpness_limit``, ``stability_ratio``, ``at_edge`` (1 or 0) and
            ``max_learning_rate``. The limit says in its attributes ``rule`` and ``limit_of`` whose
            limit it is: "λ_max(H)" or "λ_max(P⁻¹H)".
        """
        described = variables(
            {
                "learning_rate": self.learning_rate,
                "preconditioned_sharpness": self.preconditioned_sharpness,
                "preconditioned_sharpness_residual": self.residual,
                "sharpness_limit": self.limit,
                "stability_ratio": self.ratio,
                "at_edge": int(self.at_edge),
                "max_learning_rate": self.max_learning_rate,
            }
        )
        limit_of = "λ_max(P⁻¹H)" if self.preconditioned else "λ_max(H)"
        described["sharpness_limit"].attrs |= {"rule": self.rule, "limit_of": limit_of}
        return {name: xr.DataArray(variable) for name, variable in described.items()}


def stability(
    problem: Problem,
    model: nn.Module | Mapping[str, Tensor],
    optimizer: Any,
    *,
    sharpness: float | None = None,
    v0: Float[Tensor, " D"] | None = None,
    method: Methods = ProductMethod.AUTO,
    memory_limit: int | None = None,
    tol: float = 1e-4,
    seed: int = 0,
) -> Stability:
    """Measure how far the next update is from the limit of its stability.

    Parameters
    ----------
    problem : Problem
        The model, loss and data at the model's present weights: ``problem.at(model)``. A weight
        decay of the problem's own is part of its loss; that of the optimiser is added.
    model : nn.Module, or mapping of names to tensors
        The model being trained, whose parameters the optimiser holds.
    optimizer : torch.optim.Optimizer, or an object that has one as ``.optimizer``
        SGD, Adam, AdamW or RMSprop, as it is at this step; it is only read.
    sharpness : float, optional
        λ_max(H) where it is known. Gradient descent with one learning rate then takes no product.
    v0 : Tensor of shape (D,), optional
        Where to start, such as ``.vector`` of the step before.
    method : ProductMethod or str
        How products are computed, see `landscope.products.ProductMethod`.
    memory_limit : int, optional
        Bytes that they may take beside the model and the data; by default 40 % of the memory that
        is free.
    tol : float
        Residuals are at most tol·|λ|max.
    seed : int
        Of the start vector.

    Returns
    -------
    Stability
        Sharpness, limit, their ratio, and the largest stable learning rate.

    Raises
    ------
    TypeError, ValueError
        For an optimiser or a learning rate that cannot be read, see
        `landscope.geometry.update_rule`, or a sharpness that is not finite.

    Notes
    -----
    On a quadratic the update is stable if and only if η λ_max(P⁻¹H) stays below
    2(1 + β)/(1 − τ) with momentum β and dampening τ (2 for gradient descent), 2(1 + β)/(1 + 2β) for
    Nesterov's, and 2(1 + β₁)/(1 − β₁) for Adam, whose P is held fixed. Full-batch training sharpens
    until it is there and then hovers: Cohen et al. 2021, arXiv:2103.00065, and 2022,
    arXiv:2207.14484. λ_max(P⁻¹H) is that of the symmetric P^(−1/2) H P^(−1/2).

    See Also
    --------
    curvature : λ_max of H with more of its spectrum.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> model = torch.nn.Linear(2, 2, bias=False)
    >>> problem = ls.Problem(model, (2 * torch.eye(2), torch.eye(2)), loss="mse")  # H = 2
    >>> measured = ls.stability(problem, model, torch.optim.SGD(model.parameters(), lr=0.5))
    >>> measured.limit, round(measured.ratio, 4), measured.at_edge
    (4.0, 0.5, False)
    >>> round(measured.max_learning_rate, 4)
    1.0
    """
    if sharpness is not None:
        sharpness = check.real("sharpness", sharpness)
    _, tol, seed = checked_search(1, 1, tol, seed)
    checked_problem(problem)
    rule = update_rule(problem, model, optimizer)
    H = PointOperators(problem, method, memory_limit)["hessian"]
    least, most = (float(decay) for decay in rule.ridge.aminmax())
    top: Eigenpairs | None = None
    if rule.preconditioned or least < most:
        A = Preconditioned(H, rule.scale, rule.ridge)
        top = eigsh(A, 1, tol=tol, seed=seed, v0=v0)
        seen = float(top.values[0])
        if sharpness is None:
            sharpness = float(eigsh(H, 1, tol=tol, seed=seed).values[0])
    else:
        if sharpness is None:
            top = eigsh(H, 1, tol=tol, seed=seed, v0=v0)
            sharpness = float(top.values[0])
        seen = sharpness + most  # of H + λI
    return Stability(
        sharpness=sharpness,
        preconditioned_sharpness=seen,
        residual=float(top.residuals[0]) if top else math.nan,
        learning_rate=rule.learning_rate,
        threshold=rule.threshold,
        rule=rule.name,
        preconditioned=rule.preconditioned,
        vector=top.vectors[:, 0] if top else None,
    )
