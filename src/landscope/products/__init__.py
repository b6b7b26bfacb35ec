"""How a derivative product is computed, and what keeps it right."""

from landscope.products.batch_sum import BatchSum, Explanation
from landscope.products.gauss_newton_vector import GaussNewtonVector
from landscope.products.hessian_vector import HessianVector
from landscope.products.jacobian_rows import jacobian_rows
from landscope.products.jacobian_vector import JacobianAdjoint, JacobianForward
from landscope.products.large_output_vector import LargeOutputVector
from landscope.products.layerwise_jacobian import LayerwiseJacobian
from landscope.products.method import ProductMethod
from landscope.products.self_check import WrongDerivativeError

__all__ = [
    "BatchSum",
    "Explanation",
    "GaussNewtonVector",
    "HessianVector",
    "JacobianAdjoint",
    "JacobianForward",
    "LargeOutputVector",
    "LayerwiseJacobian",
    "ProductMethod",
    "WrongDerivativeError",
    "jacobian_rows",
]
