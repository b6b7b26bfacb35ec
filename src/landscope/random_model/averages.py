"""The theory averaged over the random model's probabilities, labels and centroids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from landscope.arguments import seed as checked_seed
from landscope.arguments import whole
from landscope.random_model.bartlett import isotropic_rows
from landscope.random_model.bulk import IsotropicBulk
from landscope.random_model.isotropic import bulk_beside
from landscope.random_model.memory import refuse_beyond_memory
from landscope.random_model.no_bulk import NoBulk
from landscope.random_model.theory import Theory

if TYPE_CHECKING:
    from landscope.random_model.model import RandomModel

MOST_CURVATURES = 3000
"""Eigenvalues m_i that stand for all drawn ones in the averaged density."""


@dataclass(frozen=True)
class Average:
    """A mean over independent draws, with its standard error.

    Attributes
    ----------
    value, stderr : float or ndarray
        Standard errors are NaN for a single draw.
    """

    value: float | Float64[np.ndarray, " n"]
    stderr: float | Float64[np.ndarray, " n"]


@dataclass(frozen=True)
class AveragedTheory:
    """Means of `Theory` over draws of all that it is conditional on.

    Attributes
    ----------
    draws : sequence of Theory
        One for each draw of probabilities, labels and centroids, of the model's N, C and D.

    Examples
    --------
    >>> import landscope as ls
    >>> theory = ls.RandomModel(num_classes=3, num_examples=50).theory(num_draws=10)
    >>> bool(0 < theory.edge.stderr < 0.1 * theory.edge.value)
    True
    """

    draws: Sequence[Theory]

    @property
    def edge(self) -> Average:
        """Mean right edge of the bulk."""
        return _average([draw.edge for draw in self.draws])

    @property
    def largest_noise_eigenvalue(self) -> Average:
        """Mean of the bulk's largest eigenvalue."""
        return _average([draw.bulk.largest_eigenvalue for draw in self.draws])

    @property
    def trace(self) -> Average:
        """Mean of Tr H."""
        return _average([draw.trace for draw in self.draws])

    @property
    def frobenius_norm(self) -> Average:
        """Mean of ‖H‖_F."""
        return _average([draw.frobenius_norm for draw in self.draws])

    @property
    def num_outliers(self) -> Average:
        """Mean number of outliers."""
        return _average([float(len(draw.outliers)) for draw in self.draws])

    @cached_property
    def outliers(self) -> Average:
        """Mean of the j-th outlier, for as many as every draw has."""
        fewest = min(len(draw.outliers) for draw in self.draws)
        return _average([draw.outliers[:fewest] for draw in self.draws])

    @cached_property
    def gradient_power(self) -> Average:
        """Mean share of the gradient in all outliers together; varies much from draw to draw."""
        return _average([draw.outlier_power for draw in self.draws])

    @property
    def atom_at_zero(self) -> float:
        """Share of the D eigenvalues that are zero."""
        return self._bulk.atom_at_zero

    def density(self, x: Float64[np.ndarray, " x"]) -> Float64[np.ndarray, " x"]:
        """Density of the bulk for the pooled probabilities of all draws.

        Where D ≫ NC a single draw's density is a comb, one tooth per eigenvalue of the M^μ.
        """
        return self._bulk.density(x)

    def share_below(self, x: Float64[np.ndarray, " x"]) -> Float64[np.ndarray, " x"]:
        """Share of the bulk's eigenvalues below x > 0, those that are zero among them."""
        return self._bulk.share_below(x)

    @cached_property
    def _bulk(self) -> IsotropicBulk | NoBulk:
        first = self.draws[0]
        pooled = np.sort(np.concatenate([draw.curvatures for draw in self.draws]))
        num_rows = len(first.curvatures)
        merged = -(-len(pooled) // MOST_CURVATURES)
        curvatures = np.array(
            [near.mean() for near in np.array_split(pooled, len(pooled) // merged)]
        )
        return bulk_beside(
            float(np.mean([len(draw.outliers) for draw in self.draws])),
            curvatures,
            float(first.sigma_e),
            float(first.num_params),
            len(first.labels),
            weight=num_rows / len(curvatures),
        )


def averaged_theory(model: RandomModel, num_draws: int = 20, seed: int = 0) -> AveragedTheory:
    """Average the theory over probabilities, labels and centroids; no Hessian is drawn.

    Parameters
    ----------
    model : RandomModel
        Its parameters.
    num_draws : int
        Independent draws of N examples and the centroids.
    seed : int
        Of the draws.

    Raises
    ------
    ValueError
        For fewer than one draw, or a seed that is none.
    MemoryError
        Where the examples of all draws do not fit into memory.
    """
    num_draws = whole("num_draws", num_draws)
    of_examples = 8 * 8 * num_draws * model.num_examples * model.num_classes
    refuse_beyond_memory(
        of_examples, f"a theory of {num_draws} draws with num_examples={model.num_examples}"
    )
    mixing = model.centroid_mixing()
    draws = []
    for rng in np.random.default_rng(checked_seed(seed)).spawn(num_draws):
        _, probabilities, labels = model.draw_examples(rng)
        centroids = mixing @ isotropic_rows(mixing.shape[1], model.num_params, rng)
        K = centroids @ centroids.T
        draws.append(Theory(probabilities, labels, K, model.sigma_e, model.num_params))
    return AveragedTheory(tuple(draws))


def _average(values: Sequence[float] | Sequence[Float64[np.ndarray, " n"]]) -> Average:
    table = np.array(values)
    value = table.mean(0)
    stderr = table.std(0, ddof=1) / len(table) ** 0.5 if len(table) > 1 else np.nan * value
    return Average(value, stderr) if value.ndim else Average(float(value), float(stderr))
