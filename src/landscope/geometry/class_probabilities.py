"""How far the class probabilities have frozen: σ_z, entropy, participation."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from landscope.geometry.chosen_logits import Logits, choose_logits
from landscope.geometry.class_labels import NoClassesError, class_labels
from landscope.geometry.mean_over_examples import mean_over_examples
from landscope.linalg import Estimate
from landscope.problem import Problem, problem_with_logits
from landscope.problem.losses import name_of, predicts

FROZEN_ABOVE = 0.99
"""An example counts as frozen when its largest probability exceeds this."""


@dataclass(frozen=True)
class ClassProbabilities:
    """Logits and probabilities, with standard errors over the examples.

    Attributes
    ----------
    sigma_z : Estimate
        σ_z, with σ_z² the mean over examples of the variance of z^μ over classes (with 1/(C−1)).
    entropy : Estimate
        Mean of −Σ_k p_k ln p_k, in nats: ln C at the centre of the simplex, 0 at a corner.
    participation : Estimate
        Mean of Y = Σ_k p_k²: 1/C at the centre, 1 at a corner.
    frozen_fraction : Estimate
        Share of examples whose largest probability exceeds 0.99.
    accuracy : Estimate
        Share of examples whose largest logit is that of the true class.
    probabilities : Tensor, shape (N, K)
        p^μ = softmax(z^μ) of the logits in `logits`.
    logits : Tensor, shape (K,)
        Which logits those are: all of them, or those chosen.
    """

    sigma_z: Estimate
    entropy: Estimate
    participation: Estimate
    frozen_fraction: Estimate
    accuracy: Estimate
    probabilities: Float64[Tensor, "N K"]
    logits: Int64[Tensor, " K"]


def class_probabilities(
    problem: Problem, *, logits: Logits = None, seed: int = 0
) -> ClassProbabilities:
    """Measure the spread of the logits and the freezing of the probabilities.

    Parameters
    ----------
    problem : Problem
        With a loss of classes (cross-entropy, or an object that says ``predicts = "class"``), class
        labels and at least two logits.
    logits : int, sequence of int, or None
        Which probabilities to keep, or how many to draw; all by default, or 10 where there are more
        than 100. All numbers else are of all logits, which are never held for more than some
        examples.
    seed : int
        Of the draw.

    Returns
    -------
    ClassProbabilities
        Means over examples. Their standard errors are those of the examples as a sample of the
        data distribution (Student t with N − 1 degrees of freedom).

    Raises
    ------
    ValueError
        With a single logit, another loss, or without class labels. The accuracy of other losses is
        `landscope.geometry.accuracy.accuracy`, labels have `label_probabilities`.

    Notes
    -----
    Freezing is that of the random energy model: for i.i.d. logits and C → ∞ it sets in at
    σ_z* = √(2 ln C). Fort & Ganguli 2019, arXiv:1910.05929, Figs. 3 and 4.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> model = torch.nn.Linear(2, 2, bias=False)
    >>> _ = torch.nn.init.zeros_(model.weight)
    >>> problem = ls.Problem(model, (torch.ones(3, 2), torch.tensor([0, 1, 0])))
    >>> float(ls.class_probabilities(problem).participation)
    0.5
    """
    if problem_with_logits(problem, "a class probability").num_classes < 2:
        raise ValueError(
            f"problem has {problem.num_classes} logit; class probabilities need at least two"
        )
    loss = problem.loss_terms
    if predicts(loss) != "class":
        raise NoClassesError(
            f"problem has the loss {name_of(loss)}, which does not say that the softmax of the "
            "outputs gives probabilities of classes; they are those of a cross-entropy, or of a "
            "loss with predicts = 'class'"
        )
    kept = choose_logits(problem, logits, seed)
    found = problem.rows_over_ranks(
        lambda: torch.cat(
            [_of_examples(z.double(), kept.to(z.device)) for z in problem.logits_in_chunks()]
        )
    )
    variances, entropies, participations, largest, predicted = found[:, :5].T
    p = found[:, 5:]
    variance = mean_over_examples(variances)
    sigma_z = float(variance) ** 0.5
    correct = predicted == class_labels(problem)
    return ClassProbabilities(
        sigma_z=Estimate(
            sigma_z, variance.stderr / (2 * sigma_z) if sigma_z else 0.0, variance.dof
        ),
        entropy=mean_over_examples(entropies),
        participation=mean_over_examples(participations),
        frozen_fraction=mean_over_examples((largest > FROZEN_ABOVE).double()),
        accuracy=mean_over_examples(correct.double()),
        probabilities=p,
        logits=kept,
    )


def _of_examples(z: Float64[Tensor, "n C"], kept: Int64[Tensor, " K"]) -> Float64[Tensor, "n 5+K"]:
    """Variance of the logits, entropy, participation, largest p, predicted class, some of p."""
    p = z.softmax(1)
    entropy, participation = torch.special.entr(p).sum(1), p.square().sum(1)
    numbers = torch.stack([z.var(1), entropy, participation, p.amax(1), z.argmax(1).double()], 1)
    return torch.cat([numbers, p[:, kept]], 1)
