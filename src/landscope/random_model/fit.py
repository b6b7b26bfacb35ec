"""The random model fitted to a measured landscape, and its predictions beside what was measured."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64

from landscope.random_model.anisotropic import AnisotropicTheory
from landscope.random_model.clusters import Clusters
from landscope.random_model.measured import MeasuredLandscape
from landscope.random_model.model import RandomModel
from landscope.random_model.theory import Theory

RESIDUALS = ("isotropic", "anisotropic")


@dataclass(frozen=True)
class Comparison:
    """One number, predicted and measured.

    Attributes
    ----------
    quantity : str
        What it is.
    predicted, measured : float
        The number; NaN where the theory has none.
    """

    quantity: str
    predicted: float
    measured: float

    @property
    def ratio(self) -> float:
        """Predicted over measured."""
        return self.predicted / self.measured if self.measured else math.nan


@dataclass(frozen=True)
class RandomModelFit:
    """A random model and the measured landscape it was fitted to.

    Attributes
    ----------
    model : RandomModel
        With the fitted σ_c, σ_E, σ_z (and σ_class for class-conditional means), whose draws
        resemble the landscape as far as these few numbers go.
    measured : MeasuredLandscape
        With the exact spectrum of G and the gradient's power in its eigenvectors.
    clusters : Clusters
        The measured centroids and residuals.
    residuals : str
        Of which law: "isotropic" or "anisotropic".
    """

    model: RandomModel
    measured: MeasuredLandscape
    clusters: Clusters
    residuals: str

    def theory(self) -> Theory | AnisotropicTheory:
        """Predictions from the measured centroids and probabilities, the residuals averaged."""
        return self._theory

    @cached_property
    def _theory(self) -> Theory | AnisotropicTheory:
        measured, clusters = self.measured, self.clusters
        p, labels, D = measured.probabilities, measured.labels, measured.num_params
        if self.residuals == "isotropic" or clusters.sigma_e == 0:
            return Theory(p, labels, clusters.gram, clusters.sigma_e, D)
        return AnisotropicTheory(
            p,
            labels,
            clusters.raw_gram,
            clusters.covariance_spectrum,
            D,
            clusters.overlaps,
            clusters.centroid_errors,
        )

    def table(self) -> list[Comparison]:
        """Predictions beside measurements.

        The first C − 1 outliers, with anisotropic residuals the typical places of as many largest
        eigenvalues (`AnisotropicTheory.eigenvalues`); the bulk's right edge beside the largest
        measured eigenvalue that is not predicted to be an outlier; the gradient's share in the
        first C − 1 outliers, and in all that are predicted; its length, the trace and the
        Frobenius norm.
        """
        theory, measured = self.theory(), self.measured
        values, first, most = measured.eigenvalues(), measured.num_classes - 1, len(theory.outliers)
        if isinstance(theory, AnisotropicTheory):
            predicted = theory.eigenvalues(first)
        else:
            predicted = theory.outliers[:first]
        places = np.append(predicted, np.full(first - len(predicted), math.nan))
        rows = [
            Comparison(f"outlier {j + 1}", float(place), float(value))
            for j, (place, value) in enumerate(zip(places, values, strict=False))
        ]
        beyond = float(values[most]) if most < len(values) else 0.0
        rows.append(Comparison(f"edge, λ_{most + 1}", theory.edge, beyond))
        for name, k in ((f"gradient power, first {first}", first), ("all outliers", most)):
            shares = theory.gradient_power[:k]
            power = measured.gradient_power(k)[-1] if k else 0.0
            rows.append(Comparison(name, float(shares.sum()), float(power)))
        rows.append(Comparison("gradient norm", theory.gradient_norm, measured.gradient_norm()))
        rows.append(Comparison("trace", theory.trace, measured.trace()))
        norms = theory.frobenius_norm, measured.frobenius_norm()
        rows.append(Comparison("Frobenius norm", *norms))
        return rows

    def __str__(self) -> str:
        model = self.model
        lines = [
            f"means={self.clusters.means}, residuals={self.residuals}, "
            f"weights={self.clusters.weights}: "
            f"σ_c={model.sigma_c:.3g} σ_E={model.sigma_e:.3g} σ_z={model.sigma_z:.3g} "
            f"σ_class={model.sigma_class:.3g}, {len(self.theory().outliers)} outliers predicted",
            f"{'':24}{'predicted':>12}{'measured':>12}{'ratio':>8}",
        ]
        lines += [
            f"{row.quantity:24}{row.predicted:12.4g}{row.measured:12.4g}{row.ratio:8.3f}"
            for row in self.table()
        ]
        return "\n".join(lines)


def fit_measured(
    gram: Float64[np.ndarray, "NC NC"],
    logits: Float64[np.ndarray, "N C"],
    labels: Int64[np.ndarray, " N"],
    num_params: int,
    means: str = "centroids",
    residuals: str = "isotropic",
    weights: str = "uniform",
) -> RandomModelFit:
    r"""Fit the random model to the inner products of measured logit gradients.

    Parameters
    ----------
    gram : ndarray, shape (N·C, N·C)
        J Jᵀ, rows by example, then logit.
    logits, labels : ndarray, shapes (N, C) and (N,)
        z^μ and the true classes.
    num_params : int
        D.
    means : {"centroids", "class"}
        Centroids c_k, or class-conditional c_{k,a}.
    residuals : {"isotropic", "anisotropic"}
        Residuals of law N(0, σ_E² I/D), or N(0, Σ) with their measured covariance.
    weights : {"uniform", "curvature"}
        Centroids and covariance of all logit gradients alike, or in the metric of G, in which
        each example counts by its M^μ: then residuals that depend on the probabilities are
        accounted for in their first and second moments. See `landscope.random_model.clusters`.

    Returns
    -------
    RandomModelFit
        The model, what the theory predicts, and what was measured.

    Raises
    ------
    ValueError
        For an unknown choice, arrays that do not fit together, or too few examples.

    Notes
    -----
    With uniform weights σ_E² is the mean squared length of residuals around their group's mean
    with N − G degrees of freedom; K the Gram matrix of the means less σ_E²/n_a on its diagonal;
    σ_c² the mean of its diagonal. σ_z² is the mean over examples of the variance of z^μ over
    classes. Labels are taken as drawn from p^μ where that makes them likelier than uniform ones.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> J = rng.normal(size=(3, 50)) + 0.1 * rng.normal(size=(40, 3, 50))
    >>> J = J.reshape(120, 50) / 50**0.5
    >>> fit = fit_measured(J @ J.T, rng.normal(size=(40, 3)), np.arange(40) % 3, 50)
    >>> round(fit.model.sigma_e, 2), len(fit.theory().outliers)
    (0.1, 2)
    """
    if residuals not in RESIDUALS:
        raise ValueError(f"residuals is {residuals!r}; it must be one of {', '.join(RESIDUALS)}")
    measured = MeasuredLandscape(gram, logits, labels, num_params)
    clusters = Clusters(measured, means, weights)
    sigma_c, sigma_class = clusters.spreads()
    likelihood = np.log(measured.probabilities[np.arange(len(labels)), labels].clip(1e-300)).mean()
    model = RandomModel(
        num_classes=measured.num_classes,
        num_examples=measured.num_examples,
        num_params=num_params,
        sigma_c=sigma_c,
        sigma_e=clusters.sigma_e,
        sigma_z=math.sqrt(logits.var(axis=1, ddof=1).mean()),
        labels="sampled" if likelihood > -math.log(measured.num_classes) else "uniform",
        sigma_class=sigma_class,
    )
    return RandomModelFit(model, measured, clusters, residuals)
