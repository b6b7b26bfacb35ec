"""The true class of each loss term, where there are classes."""

from jaxtyping import Bool, Int64, Shaped
from torch import Tensor

from landscope.problem import Problem
from landscope.problem.losses import name_of, predicts
from landscope.problem.losses.targets import are_labels


class NoClassesError(ValueError):
    """A measurement needs classes, and the problem has none."""


def class_labels(problem: Problem) -> Int64[Tensor, " N"]:
    """True class of each loss term.

    Targets that are class indices are it, under any loss. Vectors are it by their largest entry
    where they are probabilities of a cross-entropy, or one-hot.

    Raises
    ------
    NoClassesError
        For a loss of several labels of each term, or targets that are numbers.
    """
    targets, loss = problem.targets(), problem.loss_terms
    if predicts(loss) == "labels":
        raise NoClassesError(
            f"problem has the loss {name_of(loss)} of labels that an example may have several of; "
            "this measurement needs one class for each loss term"
        )
    C = problem.num_classes
    if are_labels(targets) and bool(((targets >= 0) & (targets < C)).all()) and C > 1:
        return targets.long()
    of_classes = targets.ndim == 2 and targets.shape[1] == C > 1
    if of_classes and (predicts(loss) == "class" or bool(_are_one_hot(targets).all())):
        return targets.argmax(1)
    raise NoClassesError(
        f"problem has the loss {name_of(loss)} and targets of shape {tuple(targets.shape)} and "
        f"{targets.dtype}, which are no classes; this measurement needs class indices, or vectors "
        "with a single 1 and else 0"
    )


def why_no_classes(problem: Problem) -> str | None:
    """What `class_labels` says where there are no classes; None where there are."""
    try:
        class_labels(problem)
    except NoClassesError as reason:
        return str(reason)
    return None


def _are_one_hot(targets: Shaped[Tensor, "N C"]) -> Bool[Tensor, " N"]:
    """Which rows are a 1 among zeros."""
    return ((targets == 0) | (targets == 1)).all(1) & (targets.sum(1) == 1)
