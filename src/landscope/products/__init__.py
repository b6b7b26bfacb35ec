"""How a derivative product is computed, and what keeps it right."""

from landscope.products.hessian_vector import HessianVector
from landscope.products.jacobian_rows import jacobian_rows
from landscope.products.jacobian_vector import JacobianVector
from landscope.products.layerwise_jacobian import LayerwiseJacobian
from landscope.products.repeated import Repeated, WrongDerivativeError

__all__ = [
    "HessianVector",
    "JacobianVector",
    "LayerwiseJacobian",
    "Repeated",
    "WrongDerivativeError",
    "jacobian_rows",
]
