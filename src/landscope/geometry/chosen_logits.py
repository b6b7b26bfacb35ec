"""Which logits are looked at, where a vocabulary has too many to look at all."""

from collections.abc import Sequence
from numbers import Real

import torch
from jaxtyping import Int64
from torch import Tensor

from landscope import arguments as check
from landscope.geometry.class_labels import NoClassesError, class_labels
from landscope.problem import Problem, problem_with_logits

MANY_LOGITS = 100
"""Up to so many logits, all are looked at by default."""

SAMPLED_LOGITS = 10
"""How many are drawn by default where there are more."""

Logits = int | Sequence[int] | Int64[Tensor, " K"] | None
"""How many logits to draw, or which to look at."""


def choose_logits(problem: Problem, logits: Logits = None, seed: int = 0) -> Int64[Tensor, " K"]:
    """Choose logits to look at.

    Parameters
    ----------
    problem : Problem
        Of any model.
    logits : int, sequence of int, or None
        Which logits, or how many to draw: at random among the classes that have two loss terms or
        more, so that pairs of the same class exist, then among the others. None takes all, or
        draws 10 where there are more than 100.
    seed : int
        Of the draw.

    Returns
    -------
    Tensor, shape (K,)
        Indices, ascending where they were drawn.

    Raises
    ------
    ValueError
        For indices outside 0 to C − 1, one given twice, or a number outside 1 to C.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> problem = ls.Problem(torch.nn.Linear(2, 5), (torch.ones(4, 2), torch.tensor([1, 3, 3, 1])))
    >>> choose_logits(problem), choose_logits(problem, 2), choose_logits(problem, [4, 0])
    (tensor([0, 1, 2, 3, 4]), tensor([1, 3]), tensor([4, 0]))
    """
    C = problem_with_logits(problem, "a choice of logits").num_classes
    seed = check.seed(seed)
    if logits is None:
        if C <= MANY_LOGITS:
            return torch.arange(C)
        logits = SAMPLED_LOGITS
    logits = checked_logits(logits, C)
    if isinstance(logits, int):
        try:
            counts = torch.bincount(class_labels(problem).cpu(), minlength=C)
        except NoClassesError:
            counts = torch.zeros(C)
        # A stable sort of a random order: those with pairs first, each group shuffled.
        order = torch.randperm(C, generator=torch.Generator().manual_seed(seed))
        first = (counts[order] < 2).byte().argsort(stable=True)
        return order[first][:logits].sort().values
    return logits


def checked_logits(
    logits: int | Sequence[int] | Int64[Tensor, " K"], C: int
) -> int | Int64[Tensor, " K"]:
    """A number of logits to draw, or the indices of those to look at, among C of them.

    Raises
    ------
    ValueError
        For indices outside 0 to C − 1, one given twice, or a number outside 1 to C.
    """
    if isinstance(logits, Real):
        return check.whole("logits", logits, 1, C)
    try:
        chosen = torch.as_tensor(logits).cpu()
    except (TypeError, ValueError, RuntimeError):
        chosen = torch.zeros(0)
    integers = not (chosen.is_floating_point() or chosen.dtype == torch.bool)
    valid = chosen.ndim == 1 and len(chosen) and integers
    if not valid or not bool(((chosen >= 0) & (chosen < C)).all()):
        raise ValueError(f"logits is {check.shown(logits)}; accepted are indices from 0 to {C - 1}")
    if len(chosen.unique()) < len(chosen):
        raise ValueError(f"logits is {check.shown(logits)}; each index can be given once")
    return chosen.long()


def labels_among(
    labels: Int64[Tensor, " N"], logits: Int64[Tensor, " K"], num_classes: int
) -> Int64[Tensor, " N"]:
    """Place of each label among the chosen logits, and K for all other labels.

    Examples
    --------
    >>> labels_among(torch.tensor([5, 2, 0]), torch.tensor([2, 5]), 6)
    tensor([1, 0, 2])
    """
    place = torch.full((num_classes,), len(logits), device=labels.device)
    place[logits.to(labels.device)] = torch.arange(len(logits), device=labels.device)
    return place[labels]
