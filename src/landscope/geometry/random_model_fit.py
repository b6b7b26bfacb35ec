"""The random model fitted to a network: its predictions beside what is measured there."""

from landscope.geometry.class_labels import class_labels
from landscope.geometry.plain_cross_entropy import refuse_other_losses
from landscope.geometry.tangent_kernel import kernel_matrix
from landscope.problem import Problem
from landscope.random_model.fit import RandomModelFit, fit_measured
from landscope.random_model.memory import refuse_beyond_memory


def fit_random_model(
    problem: Problem,
    *,
    means: str = "centroids",
    residuals: str = "isotropic",
    weights: str = "uniform",
) -> RandomModelFit:
    """Measure logit gradients, fit the random model, and set its predictions beside the spectrum.

    Parameters
    ----------
    problem : Problem
        With the plain cross-entropy and class labels; at least two examples (of each class, for
        class-conditional means) and two logits.
    means : {"centroids", "class"}
        Centroids c_k of all examples, or c_{k,a} of the examples of each class.
    residuals : {"isotropic", "anisotropic"}
        Residuals of law N(0, σ_E² I/D), or N(0, Σ) with their measured covariance.
    weights : {"uniform", "curvature"}
        Centroids and covariance of all logit gradients alike, or in the metric of G, in which each
        example counts by its M^μ. At initialisation it makes no difference; after training
        residuals depend on the probabilities, and only the latter comes near the measured spectrum.

    Returns
    -------
    RandomModelFit
        ``.model``, ``.theory()``, ``.measured`` and ``.table()``; ``str`` of it is that table.

    Raises
    ------
    ValueError
        For another loss, an unknown choice, or too few examples or logits.
    MemoryError
        Where the inner products of all N·C logit gradients do not fit into memory.

    Notes
    -----
    All numbers come from the tangent kernel J Jᵀ, of order N·C, computed layer by layer. Measured
    eigenvalues are those of the Gauss–Newton matrix G, which the model's Hessian stands for; they
    are exact. Fort & Ganguli 2019, arXiv:1910.05929, for the model.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> _ = torch.manual_seed(0)
    >>> problem = ls.Problem(torch.nn.Linear(4, 3), (torch.randn(30, 4), torch.arange(30) % 3))
    >>> fit = ls.fit_random_model(problem)
    >>> fit.model.num_params, fit.measured.eigenvalues().shape
    (15, (15,))
    """
    refuse_other_losses(problem, "the random model")
    N, C = problem.num_examples, problem.num_classes
    if N < 2 or C < 2:
        raise ValueError(
            f"problem has {N} examples and {C} logits; the fit needs at least two of each"
        )
    refuse_beyond_memory(8 * 5 * (N * C) ** 2, f"the kernel of {N} examples and {C} logits")
    return fit_measured(
        kernel_matrix(problem).cpu().numpy(),
        problem.logits().double().cpu().numpy(),
        class_labels(problem).cpu().numpy(),
        problem.num_params,
        means,
        residuals,
        weights,
    )
