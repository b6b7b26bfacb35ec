"""The random model of Fort and Ganguli (arXiv:1910.05929): draws, theory, freezing."""

from landscope.random_model.anisotropic import AnisotropicTheory
from landscope.random_model.averages import Average, AveragedTheory, averaged_theory
from landscope.random_model.clusters import Clusters
from landscope.random_model.fit import Comparison, RandomModelFit, fit_measured
from landscope.random_model.freezing import (
    critical_sigma,
    expected_entropy,
    expected_participation,
    limiting_entropy,
    limiting_participation,
    simplex_paths,
)
from landscope.random_model.landscape import Landscape
from landscope.random_model.measured import MeasuredLandscape
from landscope.random_model.model import RandomModel
from landscope.random_model.surrogates import surrogate
from landscope.random_model.theory import Theory

__all__ = [
    "AnisotropicTheory",
    "Average",
    "AveragedTheory",
    "Clusters",
    "Comparison",
    "Landscape",
    "MeasuredLandscape",
    "RandomModel",
    "RandomModelFit",
    "Theory",
    "averaged_theory",
    "critical_sigma",
    "expected_entropy",
    "expected_participation",
    "fit_measured",
    "limiting_entropy",
    "limiting_participation",
    "simplex_paths",
    "surrogate",
]
