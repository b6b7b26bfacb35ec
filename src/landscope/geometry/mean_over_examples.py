"""The mean of a number that each example has."""

from jaxtyping import Float64
from torch import Tensor

from landscope.linalg import Estimate


def mean_over_examples(x: Float64[Tensor, " N"]) -> Estimate:
    """Mean with its standard error over the examples; NaN for a single one."""
    n = len(x)
    stderr = float(x.std()) / n**0.5 if n > 1 else float("nan")
    return Estimate(float(x.mean()), stderr, max(n - 1, 1))
