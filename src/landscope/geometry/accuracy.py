"""The share of examples that are classified right."""

import torch

from landscope.geometry.class_labels import class_labels
from landscope.geometry.mean_over_examples import mean_over_examples
from landscope.linalg import Estimate
from landscope.problem import Problem, checked_problem


def accuracy(problem: Problem) -> Estimate:
    """Share of loss terms whose largest output is that of the true class.

    It needs no probabilities: outputs that a squared error draws to one-hot vectors have it too.

    Parameters
    ----------
    problem : Problem
        With class labels.

    Returns
    -------
    Estimate
        With the standard error of the examples as a sample of the data distribution.

    Raises
    ------
    NoClassesError
        Without class labels, a ValueError.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> model = torch.nn.Linear(2, 2, bias=False)
    >>> _ = torch.nn.init.eye_(model.weight)
    >>> data = torch.eye(2), torch.tensor([0, 0])
    >>> float(accuracy(ls.Problem(model, data, loss="mse")))
    0.5
    """
    labels = class_labels(checked_problem(problem))
    predicted = problem.rows_over_ranks(
        lambda: torch.cat([z.argmax(1) for z in problem.logits_in_chunks()])
    )
    return mean_over_examples((predicted == labels).double())
