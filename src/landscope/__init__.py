"""An instrument for the local geometry of neural loss landscapes."""

from landscope.operators import (
    EmpiricalFisher,
    GaussNewton,
    Hessian,
    LogitCurvature,
    LogitJacobian,
    Projected,
    TangentKernel,
    gram_spectrum,
)
from landscope.problem import Problem

__all__ = [
    "EmpiricalFisher",
    "GaussNewton",
    "Hessian",
    "LogitCurvature",
    "LogitJacobian",
    "Problem",
    "Projected",
    "TangentKernel",
    "gram_spectrum",
]
