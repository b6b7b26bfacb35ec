"""The operators at one point of weight space: each built once, computed in the way asked for."""

from collections.abc import Mapping
from typing import Any

from landscope import arguments as check
from landscope.geometry.once import once
from landscope.operators import GaussNewton, Hessian, LogitCurvature
from landscope.operators.curvature_operator import CurvatureOperator
from landscope.problem import Problem, checked_problem
from landscope.products import ProductMethod
from landscope.products.batch_sum import checked_method

OPERATORS: dict[str, type[CurvatureOperator]] = {
    "hessian": Hessian,
    "gauss_newton": GaussNewton,
    "logit_curvature": LogitCurvature,
}

Methods = ProductMethod | str | Mapping[str, ProductMethod | str]
"""One way of computing products for all operators, or one for each by name."""


class PointOperators:
    """H, G and R at one point, each built when it is first asked for.

    What an operator prepares (graphs, activations, its self-check) then serves every measurement.

    Parameters
    ----------
    problem : Problem
        The model, loss and data at one point of weight space.
    method : ProductMethod or str, or mapping from names to them
        How products are computed; in a mapping, an operator that is not named is "auto".
    memory_limit : int, optional
        Bytes that the products of each operator may take beside the model and the data.

    Raises
    ------
    ValueError
        For an unknown method or operator in ``method``, or a limit that is not positive.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> problem = ls.Problem(torch.nn.Linear(3, 2), (torch.eye(3), torch.tensor([0, 1, 0])))
    >>> point = PointOperators(problem, {"gauss_newton": "double_backward"})
    >>> point["gauss_newton"] is point["gauss_newton"]
    True
    >>> point.methods()
    {'gauss_newton': 'double_backward'}
    """

    def __init__(
        self,
        problem: Problem,
        method: Methods = ProductMethod.AUTO,
        memory_limit: int | None = None,
    ) -> None:
        checked_problem(problem)
        if not isinstance(method, Mapping):
            method = dict.fromkeys(OPERATORS, method)
        for name in method:
            _check_name("method", name)
        if memory_limit is not None:
            memory_limit = check.whole("memory_limit", memory_limit)
        self.problem = problem
        self.memory_limit = memory_limit
        self._asked = {name: checked_method(way) for name, way in method.items()}
        self._built: dict[str, CurvatureOperator] = {}
        self._once_built = once(self._build)

    def __getitem__(self, name: str) -> CurvatureOperator:
        """The operator of this name.

        Raises
        ------
        ValueError
            For an unknown name.
        """
        _check_name("operator", name)
        return self._once_built(name)

    def _build(self, name: str) -> CurvatureOperator:
        self._built[name] = OPERATORS[name](
            self.problem,
            method=self._asked.get(name, ProductMethod.AUTO),
            memory_limit=self.memory_limit,
        )
        return self._built[name]

    def resolve(self, operator: Any) -> Any:
        """The operator behind the ``operator`` argument of the measurements: by name, or itself."""
        if isinstance(operator, str):
            return self[operator]
        if not hasattr(operator, "shape"):
            raise ValueError(
                f"operator is {check.shown(operator)}; accepted are {sorted(OPERATORS)} and an "
                "operator of this problem"
            )
        return operator

    def methods(self) -> dict[str, str]:
        """How the operators that were built compute their products, by name."""
        return {name: A.method.value for name, A in self._built.items()}


def _check_name(argument: str, name: str) -> None:
    if name not in OPERATORS:
        raise ValueError(f"{argument} names {check.shown(name)}; accepted are {sorted(OPERATORS)}")
