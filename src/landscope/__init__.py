"""An instrument for the local geometry of neural loss landscapes."""

from importlib.metadata import version

from landscope.geometry import (
    class_probabilities,
    curvature,
    gradient_overlap,
    hessian_split,
    logit_clustering,
    measure,
    tangent_kernel,
)
from landscope.linalg import (
    Estimate,
    eigsh,
    frobenius_norm,
    spectral_density,
    trace,
    wasserstein_distance,
)
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
from landscope.training import Recorder

__version__ = version("landscope")

__all__ = [
    "EmpiricalFisher",
    "Estimate",
    "GaussNewton",
    "Hessian",
    "LogitCurvature",
    "LogitJacobian",
    "Problem",
    "Projected",
    "Recorder",
    "TangentKernel",
    "class_probabilities",
    "curvature",
    "eigsh",
    "frobenius_norm",
    "gradient_overlap",
    "gram_spectrum",
    "hessian_split",
    "logit_clustering",
    "measure",
    "spectral_density",
    "tangent_kernel",
    "trace",
    "wasserstein_distance",
]
