"""Algorithms that know only ``A @ V`` and a vector space."""

from landscope.linalg.eigsh import ConvergenceWarning as ConvergenceWarning
from landscope.linalg.eigsh import Eigenpairs as Eigenpairs
from landscope.linalg.eigsh import eigsh as eigsh
from landscope.linalg.estimate import Estimate as Estimate
