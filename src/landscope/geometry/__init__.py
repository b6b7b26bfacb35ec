"""The paper's measurements at one point of weight space, one property per file."""

from landscope.geometry.accuracy import accuracy
from landscope.geometry.class_decomposition import ClassDecomposition, class_decomposition
from landscope.geometry.class_probabilities import ClassProbabilities, class_probabilities
from landscope.geometry.curvature import Curvature, curvature
from landscope.geometry.gradient_overlap import GradientOverlap, gradient_overlap
from landscope.geometry.hessian_split import HessianSplit, hessian_split
from landscope.geometry.label_probabilities import LabelProbabilities, label_probabilities
from landscope.geometry.logit_clustering import LogitClustering, logit_clustering
from landscope.geometry.measure import measure, settings
from landscope.geometry.outliers import Outliers, find_outliers
from landscope.geometry.random_model_fit import fit_random_model
from landscope.geometry.stability import Stability, stability
from landscope.geometry.stability_limit import heavy_ball_limit, nesterov_limit
from landscope.geometry.tangent_kernel import TangentKernelSpectrum, tangent_kernel
from landscope.geometry.update_rule import UpdateRule, readable, update_rule

__all__ = [
    "ClassDecomposition",
    "ClassProbabilities",
    "Curvature",
    "GradientOverlap",
    "HessianSplit",
    "LabelProbabilities",
    "LogitClustering",
    "Outliers",
    "Stability",
    "TangentKernelSpectrum",
    "UpdateRule",
    "accuracy",
    "class_decomposition",
    "class_probabilities",
    "curvature",
    "find_outliers",
    "fit_random_model",
    "gradient_overlap",
    "heavy_ball_limit",
    "hessian_split",
    "label_probabilities",
    "logit_clustering",
    "measure",
    "nesterov_limit",
    "readable",
    "settings",
    "stability",
    "tangent_kernel",
    "update_rule",
]
