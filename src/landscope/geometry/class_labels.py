"""The true class of each loss term."""

from jaxtyping import Int64
from torch import Tensor

from landscope.problem import Problem


def class_labels(problem: Problem) -> Int64[Tensor, " N"]:
    """True class of each loss term; the largest entry where the targets are vectors.

    Raises
    ------
    ValueError
        When the targets are neither class indices nor vectors with one entry per logit.
    """
    targets = problem.targets()
    if targets.ndim == 1 and not targets.is_floating_point():
        return targets.long()
    if targets.ndim == 2 and targets.shape[1] == problem.num_classes > 1:
        return targets.argmax(1)
    raise ValueError(
        f"data has targets of shape {tuple(targets.shape)} and {targets.dtype}; this measurement "
        "needs class indices, or vectors with one entry per logit"
    )
