"""Surrogate landscapes: measured residuals that have lost their relation to the probabilities."""

import numpy as np

from landscope.random_model.clusters import Clusters
from landscope.random_model.measured import MeasuredLandscape

KINDS = ("shuffled", "signs")


def surrogate(clusters: Clusters, kind: str, seed: int = 0) -> MeasuredLandscape:
    r"""Redraw the residuals of a measured landscape, and keep its centroids and probabilities.

    What a surrogate's spectrum has in common with the measured one is explained by what it keeps.

    Parameters
    ----------
    clusters : Clusters
        Centroids and residuals.
    kind : {"shuffled", "signs"}
        * "shuffled": J^μ = c + E^{π(μ)}, π a random permutation within each group. The residuals
          keep all of their law but its relation to the probabilities.
        * "signs": J^μ = c + ε_μ E^μ with random signs. They keep what is even in them, the
          dependence of their covariance on the probabilities too.
    seed : int
        Of the permutation or the signs.

    Raises
    ------
    ValueError
        For another kind.

    Examples
    --------
    >>> import numpy as np
    >>> J = np.random.default_rng(0).normal(size=(12, 20))
    >>> measured = MeasuredLandscape(J @ J.T, np.zeros((4, 3)), np.arange(4) % 3, 20)
    >>> flipped = surrogate(Clusters(measured, "centroids"), "signs")
    >>> bool(np.isclose(flipped.trace(), measured.trace()))  # Σ E = 0 and all M^μ are the same
    False
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")
    landscape = clusters.landscape
    N, C = landscape.logits.shape
    rng = np.random.default_rng(seed)
    source, signs = np.arange(N), np.ones(N)
    if kind == "signs":
        signs = rng.choice([-1.0, 1.0], N)
    else:
        for group in range(len(clusters.counts)):
            members = np.flatnonzero(clusters.groups == group)
            source[members] = rng.permutation(members)

    def redraw(rows: np.ndarray) -> np.ndarray:
        means = clusters.mean_rows(rows)
        residuals = (rows - means).reshape(N, C, -1)
        return means + (signs[:, None, None] * residuals[source]).reshape(rows.shape)

    gram = redraw(redraw(landscape.gram).T)
    return MeasuredLandscape(gram, landscape.logits, landscape.labels, landscape.num_params)
