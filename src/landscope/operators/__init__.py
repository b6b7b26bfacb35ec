"""Curvature as linear maps on weight space, free of how their products are computed."""

from landscope.operators.block_traces import block_traces
from landscope.operators.empirical_fisher import EmpiricalFisher
from landscope.operators.finite_difference_hessian import FiniteDifferenceHessian
from landscope.operators.gauss_newton import GaussNewton
from landscope.operators.gram import GramEigenpairs, gram_eigenpairs, gram_spectrum
from landscope.operators.hessian import Hessian
from landscope.operators.linear_operator import LinearOperator
from landscope.operators.logit_curvature import LogitCurvature
from landscope.operators.logit_jacobian import LogitJacobian
from landscope.operators.low_rank_spectrum import LowRankSpectrum, low_rank_spectrum
from landscope.operators.preconditioned import Preconditioned
from landscope.operators.projected import Projected
from landscope.operators.sharded import Sharded
from landscope.operators.tangent_kernel import TangentKernel

__all__ = [
    "EmpiricalFisher",
    "FiniteDifferenceHessian",
    "GaussNewton",
    "GramEigenpairs",
    "Hessian",
    "LinearOperator",
    "LogitCurvature",
    "LogitJacobian",
    "LowRankSpectrum",
    "Preconditioned",
    "Projected",
    "Sharded",
    "TangentKernel",
    "block_traces",
    "gram_eigenpairs",
    "gram_spectrum",
    "low_rank_spectrum",
]
