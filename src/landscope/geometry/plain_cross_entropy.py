"""Measurements that hold for the plain cross-entropy alone."""

from landscope.problem import Problem, checked_problem
from landscope.problem.losses import CrossEntropy, name_of


def refuse_other_losses(problem: Problem, what: str) -> None:
    """Refuse any loss but the cross-entropy without class weights and label smoothing.

    Raises
    ------
    ValueError
        With the loss that the problem has.
    """
    loss = checked_problem(problem).loss_terms
    if not isinstance(loss, CrossEntropy):
        raise ValueError(f"problem has the loss {name_of(loss)}; {what} is one of cross_entropy")
    if loss.weight is not None or loss.label_smoothing:
        raise ValueError(
            f"problem has a cross-entropy with class weights or label smoothing; {what} is one of "
            "the plain cross-entropy"
        )
