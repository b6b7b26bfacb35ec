"""How the logit gradients J_k^μ cluster: q_SLSC, q_SL, q_DL, and their centroids c_k."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor
from torch.nn.functional import one_hot

from landscope import arguments as check
from landscope.geometry.chosen_logits import Logits, choose_logits, labels_among
from landscope.geometry.class_labels import NoClassesError, class_labels
from landscope.geometry.class_sums import class_sums
from landscope.problem import Problem, problem_with_logits


@dataclass(frozen=True)
class LogitClustering:
    """Mean cosines between logit gradients, exact for the given examples.

    C counts the logits that were looked at: all of them, or those chosen. Where the problem has no
    classes (a regression, several labels of each example), what is taken by class is NaN: `q_slsc`,
    `table` and `class_centroids_gram`; `class_counts` and `num_classes_counted` are 0.

    Attributes
    ----------
    logits : Tensor, shape (C,)
        Which logits those are.
    q_slsc : float
        Same logit, same class: mean over k of the mean of cos(μ,k;ν,k) over pairs μ≠ν that both
        have true class k. Classes with fewer than two examples drop out.
    q_sl : float
        Same logit: mean over k of the mean of cos(μ,k;ν,k) over all pairs μ≠ν.
    q_dl : float
        Different logits: mean over k≠l of the mean of cos(μ,k;ν,l) over pairs μ≠ν.
    q_dl_abs : float
        Mean over k≠l of the magnitude of the mean cosine: the signed mean can cancel.
    table : Tensor, shape (C, C, C, C)
        Mean cosine between logit k on class a and logit l on class b, indexed [k, a, l, b]; NaN
        where there is no pair.
    norms : Tensor, shape (N, C)
        ‖J_k^μ‖, in logits per weight.
    centroids : Tensor, shape (C, D)
        c_k, the mean logit gradients.
    centroids_gram : Tensor, shape (C, C)
        c_k·c_l.
    class_centroids_gram : Tensor, shape (C, C, C, C)
        c_{k,a}·c_{l,b} of the class-conditional means, indexed [k, a, l, b]; NaN for empty classes.
    sigma_c, sigma_e : float
        σ_c and σ_E of J_k^μ = c_k + E_k^μ with ‖c_k‖² ≈ σ_c² and ‖E_k^μ‖² ≈ σ_E², debiased.
    class_counts : Tensor, shape (C,)
        Examples of each class.
    num_classes_counted : int
        Classes that entered q_slsc.
    num_dead : int
        Logit gradients of length zero. Their cosine is undefined, and they are left out of every
        mean cosine; the centroids count them.
    """

    logits: Int64[Tensor, " C"]
    q_slsc: float
    q_sl: float
    q_dl: float
    q_dl_abs: float
    table: Float64[Tensor, "C C C C"]
    norms: Float64[Tensor, "N C"]
    centroids: Float64[Tensor, "C D"]
    centroids_gram: Float64[Tensor, "C C"]
    class_centroids_gram: Float64[Tensor, "C C C C"]
    sigma_c: float
    sigma_e: float
    class_counts: Int64[Tensor, " C"]
    num_classes_counted: int
    num_dead: int


def logit_clustering(
    problem: Problem,
    *,
    logits: Logits = None,
    seed: int = 0,
    memory_limit: int | None = None,
) -> LogitClustering:
    """Measure how the gradients of the logits cluster by logit and by class.

    Parameters
    ----------
    problem : Problem
        At least two examples; with class labels for what is taken by class.
    logits : int, sequence of int, or None
        Which logits to look at, or how many to draw; all by default, or 10 where there are more
        than 100 (see `landscope.geometry.chosen_logits`). Every example is counted, whatever its
        class.
    seed : int
        Of the draw.
    memory_limit : int, optional
        Bytes that the C·C·D numbers of the class sums may take; by default 40 % of the memory that
        is free. Where they take more, groups of layers are visited one after the other.

    Returns
    -------
    LogitClustering
        Cosines, norms, centroids; all exact for the given examples.

    Raises
    ------
    ValueError
        With fewer than two examples or logits, or for logits that the model has not.

    Notes
    -----
    With u = J/‖J‖, Σ_{μ≠ν} u_k^μ·u_l^ν = (Σ_μ u_k^μ)·(Σ_ν u_l^ν) − Σ_μ u_k^μ·u_l^μ, so that class
    sums and same-example products suffice. Both come layer by layer
    (`landscope.products.LayerwiseJacobian`), the norms first, and memory does not grow with N.
    Fort & Ganguli 2019, arXiv:1910.05929, Figs. 1 and 2; the table by class follows Papyan 2019,
    arXiv:1901.08244.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> data = torch.ones(4, 2), torch.arange(4) % 2
    >>> problem = ls.Problem(torch.nn.Linear(2, 2, bias=False), data)
    >>> clustering = ls.logit_clustering(problem)
    >>> round(clustering.q_slsc, 6), round(clustering.q_sl, 6), clustering.q_dl
    (1.0, 1.0, 0.0)
    """
    problem_with_logits(problem, "logit clustering")
    chosen = choose_logits(problem, logits, seed)
    if memory_limit is not None:
        memory_limit = check.whole("memory_limit", memory_limit)
    N, C = problem.num_examples, len(chosen)
    if N < 2 or C < 2:
        raise ValueError(f"problem has {N} examples and {C} logits; clustering needs two of each")
    try:
        labels = labels_among(class_labels(problem), chosen, problem.num_classes)
        A = max(C, int(labels.max()) + 1)  # examples of all other classes make one class more
    except NoClassesError:
        labels, A = torch.zeros(N, dtype=torch.long, device=problem.device), 1
    if problem.num_classes > C:
        problem = problem.with_logits(chosen)
    classes = one_hot(labels, A).double()
    sums = class_sums(problem, labels, A, memory_limit)

    alive = (sums.norms > 0).double()
    cosines = sums.unit_gram
    alive_counts = torch.einsum("ta,tk->ka", classes, alive)
    pairs = torch.einsum("ka,lb->kalb", alive_counts, alive_counts)
    for a in range(A):  # the same example is no pair with itself
        cosines[:, a, :, a] -= sums.same_example[a]
        pairs[:, a, :, a] -= torch.einsum("t,tk,tl->kl", classes[:, a], alive, alive)

    by_logit = _mean(cosines.sum((1, 3)), pairs.sum((1, 3)))  # q_kl
    counts = classes.sum(0)[:C]
    if A >= C:
        class_pairs = torch.einsum("a,b->ab", counts, counts)[None, :, None, :].expand(C, C, C, C)
        table = _mean(cosines, pairs)[:, :C, :, :C]
        class_centroids_gram = _mean(sums.gram[:, :C, :, :C], class_pairs)
    else:  # no classes
        counts = counts.new_zeros(C)
        table = class_centroids_gram = cosines.new_full((C, C, C, C), torch.nan)
    same_class = torch.stack([table[k, k, k, k] for k in range(C)])
    different = by_logit[~torch.eye(C, dtype=torch.bool, device=by_logit.device)]

    centroids = sums.sums / N
    centroid_norms = centroids.square().sum(1)
    sigma_e2 = float((sums.norms.square().mean() - centroid_norms.mean()) * N / (N - 1))
    sigma_c2 = float(centroid_norms.mean()) - sigma_e2 / N
    return LogitClustering(
        logits=chosen,
        q_slsc=float(same_class.nanmean()),
        q_sl=float(by_logit.diagonal().nanmean()),
        q_dl=float(different.nanmean()),
        q_dl_abs=float(different.abs().nanmean()),
        table=table,
        norms=sums.norms,
        centroids=centroids,
        centroids_gram=centroids @ centroids.T,
        class_centroids_gram=class_centroids_gram,
        sigma_c=max(sigma_c2, 0.0) ** 0.5,
        sigma_e=max(sigma_e2, 0.0) ** 0.5,
        class_counts=counts.long(),
        num_classes_counted=int(same_class.isfinite().sum()),
        num_dead=int((sums.norms == 0).sum()),
    )


def _mean(total: Float64[Tensor, "*n"], count: Float64[Tensor, "*n"]) -> Float64[Tensor, "*n"]:
    """Total over count; NaN where nothing was counted."""
    return torch.where(count > 0, total / count.clamp_min(1), torch.nan)
