"""A model, a loss and data at one point of weight space."""

from landscope.problem.batch import Batch
from landscope.problem.checks import NonFiniteError
from landscope.problem.losses import CrossEntropy, Loss, MeanSquaredError
from landscope.problem.problem import Problem, checked_problem, problem_with_logits
from landscope.problem.sharded_problem import ShardedProblem

__all__ = [
    "Batch",
    "CrossEntropy",
    "Loss",
    "MeanSquaredError",
    "NonFiniteError",
    "Problem",
    "ShardedProblem",
    "checked_problem",
    "problem_with_logits",
]
