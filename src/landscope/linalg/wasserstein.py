"""Wasserstein-1 distance between two spectra."""

from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from landscope import arguments as check
from landscope.linalg.eigenpairs import Eigenpairs
from landscope.linalg.spectral_density import SpectralDensity


def wasserstein_distance(a: Any, b: Any, dim: int | None = None) -> float:
    r"""Wasserstein-1 distance between two spectra, each a distribution of mass 1.

    Parameters
    ----------
    a, b : Tensor or array of shape (n,), SpectralDensity, or Eigenpairs
        Eigenvalues of equal weight in any order (the two need not be of one length), or a density,
        each share of which is spread evenly over what its node stands for.
    dim : int, optional
        The dimension D of the operator: eigenvalues fewer than D are filled up with zeros, as for
        `gram_spectrum`, which gives the nonzero ones.

    Returns
    -------
    float
        In the unit of the eigenvalues: how far an eigenvalue is moved on average to make one
        spectrum from the other.

    Raises
    ------
    ValueError
        For eigenvalues that are not one-dimensional, not finite, none or more than ``dim``.

    Notes
    -----
    :math:`W_1 = ∫|F_a(x) − F_b(x)|\,dx` with the cumulative distributions, exact for
    eigenvalues. It sees outliers by their distance, λ/D each.

    Examples
    --------
    >>> wasserstein_distance([0.0, 1.0], [1.0, 3.0])
    1.5
    >>> wasserstein_distance([3.0], [0.0, 0.0, 0.0], dim=3)
    1.0
    """
    (points_a, weights_a), (points_b, weights_b) = _measure(a, "a", dim), _measure(b, "b", dim)
    points, order = torch.cat([points_a, points_b]).sort()
    difference = torch.cat([weights_a, -weights_b])[order].cumsum(0)
    return (difference[:-1].abs() @ points.diff()).item()


def _measure(
    spectrum: Any, name: str, dim: int | None
) -> tuple[Float64[Tensor, " n"], Float64[Tensor, " n"]]:
    """Points and weights of mass 1."""
    if isinstance(spectrum, SpectralDensity):
        return spectrum.quadrature.atoms()
    if isinstance(spectrum, Eigenpairs):
        spectrum = spectrum.values
    try:
        values = torch.as_tensor(spectrum, dtype=torch.float64).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} is {check.shown(spectrum)}; it must hold eigenvalues") from None
    if values.ndim != 1 or len(values) == 0 or not bool(values.isfinite().all()):
        raise ValueError(
            f"{name} must hold finite eigenvalues of shape (n,), got shape {tuple(values.shape)}"
        )
    size = len(values) if dim is None else check.whole("dim", dim)
    if len(values) > size:
        raise ValueError(f"{name} holds {len(values)} eigenvalues, more than dim = {dim}")
    points = torch.cat([values, values.new_zeros(1)])
    weights = torch.full_like(points, 1 / size)
    weights[-1] = (size - len(values)) / size
    return points, weights
