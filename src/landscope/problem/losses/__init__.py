"""Losses as functions of the logits: value, gradient and Hessian of each loss term.

A loss knows nothing of the network. All its methods take flat logits, one row per loss term.
"""

from landscope.problem.losses.cross_entropy import CrossEntropy
from landscope.problem.losses.derivatives_checked import check_derivatives, is_hand_written
from landscope.problem.losses.function import FunctionLoss
from landscope.problem.losses.loss import (
    Loss,
    RefusedLossError,
    describe_outputs,
    hessian_factor,
    is_convex,
    moved,
    name_of,
    normalizer,
    predicts,
    total,
)
from landscope.problem.losses.negative_log_likelihood import NegativeLogLikelihood
from landscope.problem.losses.resolved import LossArgument, read_outputs, resolve_loss
from landscope.problem.losses.squared_error import MeanSquaredError
from landscope.problem.losses.torch_module import ElementwiseLoss

__all__ = [
    "CrossEntropy",
    "ElementwiseLoss",
    "FunctionLoss",
    "Loss",
    "LossArgument",
    "MeanSquaredError",
    "NegativeLogLikelihood",
    "RefusedLossError",
    "check_derivatives",
    "describe_outputs",
    "hessian_factor",
    "is_convex",
    "is_hand_written",
    "moved",
    "name_of",
    "normalizer",
    "predicts",
    "read_outputs",
    "resolve_loss",
    "total",
]
