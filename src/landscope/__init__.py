"""An instrument for the local geometry of neural loss landscapes."""

from importlib.metadata import version

from landscope.geometry import (
    class_decomposition,
    class_probabilities,
    curvature,
    fit_random_model,
    gradient_overlap,
    hessian_split,
    logit_clustering,
    measure,
    stability,
    tangent_kernel,
)
from landscope.hyperplanes import AffineHyperplane, BasisKind
from landscope.linalg import (
    Estimate,
    diagonal,
    eigsh,
    frobenius_norm,
    spectral_density,
    trace,
    wasserstein_distance,
)
from landscope.operators import (
    EmpiricalFisher,
    FiniteDifferenceHessian,
    GaussNewton,
    Hessian,
    LogitCurvature,
    LogitJacobian,
    Preconditioned,
    Projected,
    Sharded,
    TangentKernel,
    block_traces,
    gram_eigenpairs,
    gram_spectrum,
    low_rank_spectrum,
)
from landscope.problem import Problem, ShardedProblem
from landscope.random_model import RandomModel
from landscope.training import AdamDescent, Recorder, goldilocks, intrinsic_dimension

__version__ = version("landscope")

__all__ = [
    "AdamDescent",
    "AffineHyperplane",
    "BasisKind",
    "EmpiricalFisher",
    "Estimate",
    "FiniteDifferenceHessian",
    "GaussNewton",
    "Hessian",
    "LogitCurvature",
    "LogitJacobian",
    "Preconditioned",
    "Problem",
    "Projected",
    "RandomModel",
    "Recorder",
    "Sharded",
    "ShardedProblem",
    "TangentKernel",
    "block_traces",
    "class_decomposition",
    "class_probabilities",
    "curvature",
    "diagonal",
    "eigsh",
    "fit_random_model",
    "frobenius_norm",
    "goldilocks",
    "gradient_overlap",
    "gram_eigenpairs",
    "gram_spectrum",
    "hessian_split",
    "intrinsic_dimension",
    "logit_clustering",
    "low_rank_spectrum",
    "measure",
    "spectral_density",
    "stability",
    "tangent_kernel",
    "trace",
    "wasserstein_distance",
]
