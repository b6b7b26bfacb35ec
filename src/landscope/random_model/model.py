"""The random model of Fort and Ganguli: its parameters, and draws from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from landscope.arguments import choice, real, shown
from landscope.arguments import seed as checked_seed
from landscope.random_model.averages import AveragedTheory, averaged_theory
from landscope.random_model.landscape import Landscape
from landscope.random_model.memory import refuse_beyond_memory
from landscope.random_model.softmax_curvature import softmax

LABELS = ("uniform", "sampled")
CLASS_CENTROIDS = ("full", "own", "shared")
LARGEST_DIM = 1e300
SPREADS = 1e-152, 1e152
"""Least and largest spread above zero: their squares are numbers."""


@dataclass(frozen=True)
class RandomModel:
    r"""Logit gradients that cluster by logit, and logits that are Gaussian.

    .. math::

        J_k^μ = c_k + E_k^μ, \quad c_k \sim N(0, σ_c^2 I/D), \quad E_k^μ \sim N(0, σ_E^2 I/D),
        \quad z_k^μ \sim N(0, σ_z^2),

    with p^μ = softmax(z^μ), the gradient g = (1/N) Σ_μ (p^μ − y^μ)ᵀJ^μ and the Hessian
    H = (1/N) Σ_μ J^μᵀ(diag(p^μ) − p^μ p^μᵀ)J^μ, its G-term.

    Parameters
    ----------
    num_classes, num_examples, num_params : int
        C ≥ 2, N ≥ 1 and D ≥ 1, D of any size: draws are exact and cost no more for a larger one.
    sigma_c, sigma_e, sigma_z : float
        Root mean square lengths of centroids and residuals, and the spread of the logits; 0, or
        from 1e-152 to 1e152.
    labels : {"uniform", "sampled"}
        Labels that know nothing of the logits, or drawn from p^μ. The gradient depends on it.
    lengths : sequence of C floats, optional
        Root mean square length of each c_k, instead of σ_c for all.
    sigma_class : float
        Length of the class-conditional parts: for examples of class a, J_k^μ = c_{k,a} + E_k^μ with
        c_{k,a} = c_k + d_{k,a}.
    class_centroids : {"full", "own", "shared"}
        Which d_{k,a} there are, all of law N(0, σ_class² I/D):

        * "full": one for each logit and class; up to (C − 1)² outliers beyond the first C − 1.
        * "own": one vector per class, on its own logit, d_{k,a} = δ_{ka} d_a; C outliers more.
        * "shared": one vector per class on all of its logits, d_{k,a} = d_a. It drops out of H,
          for the rows of M^μ sum to zero: no outlier more.

    Raises
    ------
    ValueError, TypeError
        For a parameter out of its range.

    See Also
    --------
    Landscape : a draw, with its spectrum and gradient.
    Theory : what random matrix theory predicts of them.

    Notes
    -----
    Centroids of unequal lengths have at most C − 1 outliers like all others: the mean part of A is
    Sᵀc with Sᵀ1 = 0, of rank C − 1. Fort & Ganguli 2019, arXiv:1910.05929, section 4; the caption
    of Fig. 5 there says otherwise.

    Examples
    --------
    >>> import landscope as ls
    >>> model = ls.RandomModel(num_classes=4, num_examples=30, num_params=200, sigma_e=0.3)
    >>> land = model.sample(seed=1)
    >>> land.eigenvalues()[:4].round(3).tolist()
    [0.275, 0.21, 0.167, 0.002]
    """

    num_classes: int = 10
    num_examples: int = 300
    num_params: int | float = 1000
    sigma_c: int | float = 1.0
    sigma_e: int | float = 0.7
    sigma_z: int | float = 1.0
    labels: str = "uniform"
    lengths: Sequence[int | float] | Float64[np.ndarray, " C"] | None = None
    sigma_class: int | float = 0.0
    class_centroids: str = "full"

    def __post_init__(self) -> None:
        for name, least in (("num_classes", 2), ("num_examples", 1), ("num_params", 1)):
            object.__setattr__(self, name, _whole_number(name, getattr(self, name), least))
        for name in ("sigma_c", "sigma_e", "sigma_z", "sigma_class"):
            object.__setattr__(self, name, _spread(name, getattr(self, name)))
        choice("labels", self.labels, LABELS)
        choice("class_centroids", self.class_centroids, CLASS_CENTROIDS)
        if self.lengths is not None:
            if isinstance(self.lengths, str) or not hasattr(self.lengths, "__len__"):
                raise ValueError(
                    f"lengths is {shown(self.lengths)}; "
                    "it must be a sequence of one number per class"
                )
            lengths = tuple(_spread(f"lengths[{k}]", x) for k, x in enumerate(self.lengths))
            if len(lengths) != self.num_classes:
                raise ValueError(
                    f"lengths has {len(lengths)} entries; it must have one for each of "
                    f"the {self.num_classes} classes"
                )
            object.__setattr__(self, "lengths", lengths)

    def sample(self, seed: int = 0) -> Landscape:
        """Draw from the model, exactly at any number of parameters.

        Parameters
        ----------
        seed : int
            The same seed gives the same logits up to their scale σ_z, and for labels "uniform"
            the same labels.

        Raises
        ------
        MemoryError
            Where the logit gradients, which take 8·n·min(n, D) bytes for n = C + NC rows, and
            their Gram matrix do not fit into memory.
        """
        rows = self.num_rows
        d = min(rows, self.num_params)
        factor_rows = self.num_examples * (self.num_classes - 1)
        refuse_beyond_memory(
            8 * (2 * rows * d + factor_rows * d + 2 * min(factor_rows, d) ** 2),
            f"a draw with num_examples={self.num_examples} and num_classes={self.num_classes}",
        )
        return Landscape(self, checked_seed(seed))

    def theory(self, num_draws: int = 20, seed: int = 0) -> AveragedTheory:
        """Predict, on average over draws; see `Landscape.theory` for one draw.

        Parameters
        ----------
        num_draws : int
            Draws of probabilities, labels and centroids that are averaged over.
        seed : int
            Of these draws.
        """
        return averaged_theory(self, num_draws, seed)

    def draw_examples(
        self, rng: np.random.Generator
    ) -> tuple[Float64[np.ndarray, "N C"], Float64[np.ndarray, "N C"], Int64[np.ndarray, " N"]]:
        """Draw logits, their probabilities and labels."""
        N, C = self.num_examples, self.num_classes
        logits = self.sigma_z * rng.standard_normal((N, C))
        p = softmax(logits)
        u = rng.random(N)
        if self.labels == "uniform":
            return logits, p, (C * u).astype(np.int64)
        return logits, p, (p.cumsum(1)[:, :-1] < u[:, None]).sum(1)

    def centroid_mixing(self) -> Float64[np.ndarray, "GC n"]:
        """The matrix that makes centroids of isotropic Gaussian rows.

        C rows c_k, or with σ_class > 0 the C² rows c_{k,a}, at a·C + k.
        """
        C = self.num_classes
        means = np.diag(np.full(C, self.sigma_c) if self.lengths is None else self.lengths)
        if self.sigma_class == 0:
            return means
        eye, ones = np.eye(C), np.ones((C, 1))
        parts = {
            "full": np.eye(C * C),
            "own": (eye[:, :, None] * eye[:, None, :]).reshape(C * C, C),
            "shared": np.kron(eye, ones),
        }
        return np.hstack([np.kron(ones, means), self.sigma_class * parts[self.class_centroids]])

    @property
    def num_rows(self) -> int:
        """Number of Gaussian rows a draw takes: those of the centroids, and NC residuals."""
        num_residuals = self.num_examples * self.num_classes if self.sigma_e > 0 else 0
        if self.sigma_class == 0:
            return self.num_classes + num_residuals
        parts = self.num_classes ** (2 if self.class_centroids == "full" else 1)
        return self.num_classes + parts + num_residuals


def _whole_number(name: str, value: Any, least: int) -> int:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.integer | np.floating)
        or not least <= value <= LARGEST_DIM  # false for NaN
        or value != int(value)
    ):
        raise ValueError(
            f"{name} is {shown(value)}; it must be a whole number of at least {least} "
            f"and at most {LARGEST_DIM:g}"
        )
    return int(value)


def _spread(name: str, value: Any) -> float:
    least, most = SPREADS
    spread = real(name, value, "[0, ∞)")
    if spread and not least <= spread <= most:
        raise ValueError(f"{name} is {spread!r}; it must be 0, or from {least:g} to {most:g}")
    return spread
