"""Random low-dimensional affine hyperplanes W₀ + Pθ of weight space."""

from landscope.hyperplanes.affine_hyperplane import AffineHyperplane
from landscope.hyperplanes.basis import Basis
from landscope.hyperplanes.curvature import HyperplaneCurvature
from landscope.hyperplanes.draw import draw_basis
from landscope.hyperplanes.expected_trace import expected_trace
from landscope.hyperplanes.given import given_basis
from landscope.hyperplanes.kind import BasisKind, random_kind
from landscope.hyperplanes.model import HyperplaneModel

__all__ = [
    "AffineHyperplane",
    "Basis",
    "BasisKind",
    "HyperplaneCurvature",
    "HyperplaneModel",
    "draw_basis",
    "expected_trace",
    "given_basis",
    "random_kind",
]
