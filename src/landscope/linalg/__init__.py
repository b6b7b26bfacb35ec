"""Algorithms that know only ``A @ V`` and a vector space."""

from landscope.linalg.davis_kahan import PairErrors as PairErrors
from landscope.linalg.davis_kahan import cosine_errors as cosine_errors
from landscope.linalg.davis_kahan import power_errors as power_errors
from landscope.linalg.davis_kahan import top_errors as top_errors
from landscope.linalg.diagonal import Diagonal as Diagonal
from landscope.linalg.diagonal import diagonal as diagonal
from landscope.linalg.eigenpairs import Eigenpairs as Eigenpairs
from landscope.linalg.eigsh import ConvergenceWarning as ConvergenceWarning
from landscope.linalg.eigsh import eigsh as eigsh
from landscope.linalg.estimate import Estimate as Estimate
from landscope.linalg.frobenius_norm import frobenius_norm as frobenius_norm
from landscope.linalg.gaussian_kernel import GaussianKernel as GaussianKernel
from landscope.linalg.plus_minus import decimals_of as decimals_of
from landscope.linalg.plus_minus import plus_minus as plus_minus
from landscope.linalg.replicated import ReplicatedSpace as ReplicatedSpace
from landscope.linalg.sharded import ShardedSpace as ShardedSpace
from landscope.linalg.space import DenseSpace as DenseSpace
from landscope.linalg.space import VectorSpace as VectorSpace
from landscope.linalg.spectral_density import SpectralDensity as SpectralDensity
from landscope.linalg.spectral_density import spectral_density as spectral_density
from landscope.linalg.trace import trace as trace
from landscope.linalg.wasserstein import wasserstein_distance as wasserstein_distance
