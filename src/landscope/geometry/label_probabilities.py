"""How far the probabilities of labels have frozen, where an example may have several."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from landscope.geometry.mean_over_examples import mean_over_examples
from landscope.linalg import Estimate
from landscope.problem import Problem, checked_problem
from landscope.problem.losses import name_of, predicts


@dataclass(frozen=True)
class LabelProbabilities:
    """Probabilities of labels, with standard errors over the examples.

    Attributes
    ----------
    entropy : Estimate
        Mean over examples and labels of the Bernoulli entropy −p ln p − (1−p) ln(1−p), in nats:
        ln 2 where nothing is known, 0 where all is frozen.
    accuracy : Estimate
        Share of labels whose probability lies on the side of 1/2 where the target lies.
    exact_match : Estimate
        Share of examples whose labels are all right.
    """

    entropy: Estimate
    accuracy: Estimate
    exact_match: Estimate


def label_probabilities(problem: Problem) -> LabelProbabilities:
    """Measure the freezing and the accuracy of labels, p_k = sigmoid(z_k) of each.

    Parameters
    ----------
    problem : Problem
        With the binary cross-entropy of logits, or another loss of labels.

    Returns
    -------
    LabelProbabilities
        Means over examples. Their standard errors are those of the examples as a sample of the
        data distribution (Student t with N − 1 degrees of freedom).

    Raises
    ------
    ValueError
        For another loss.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> model = torch.nn.Linear(2, 2, bias=False)
    >>> _ = torch.nn.init.eye_(model.weight)
    >>> data = torch.tensor([[3.0, -3.0], [3.0, 3.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> found = label_probabilities(ls.Problem(model, data, loss="bce_with_logits"))
    >>> float(found.accuracy), float(found.exact_match)
    (0.75, 0.5)
    """
    loss = checked_problem(problem).loss_terms
    if predicts(loss) != "labels":
        raise ValueError(
            f"problem has the loss {name_of(loss)}; probabilities of labels need one of labels, "
            "such as 'bce_with_logits'"
        )
    found = problem.rows_over_ranks(
        lambda: torch.cat([_of_examples(z.double()) for z in problem.logits_in_chunks()])
    )
    entropies, yes = found[:, 0], found[:, 1:].bool()
    right = yes == (problem.targets().reshape(yes.shape) > 0.5)
    return LabelProbabilities(
        entropy=mean_over_examples(entropies),
        accuracy=mean_over_examples(right.double().mean(1)),
        exact_match=mean_over_examples(right.all(1).double()),
    )


def _of_examples(z: Float64[Tensor, "n C"]) -> Float64[Tensor, "n 1+C"]:
    """Mean entropy of the labels of each example, and which of them are predicted."""
    p = z.sigmoid()
    entropies = (torch.special.entr(p) + torch.special.entr((-z).sigmoid())).mean(1, keepdim=True)
    return torch.cat([entropies, (z > 0).double()], 1)
