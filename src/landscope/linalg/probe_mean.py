"""The mean of functions over a spectrum, from random probes, with its standard error."""

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from landscope.linalg.quadrature import Quadrature


def probe_mean(
    f: Float64[Tensor, "m n"], quadrature: Quadrature, num_probes: int, dim: int
) -> tuple[Float64[Tensor, " m"], Float64[Tensor, " m"], Float64[Tensor, " m"]]:
    """Mean of functions f over the spectrum, its standard error and degrees of freedom."""
    mean = f @ quadrature.weights
    sampled, weights = f[:, quadrature.sampled], quadrature.weights[quadrature.sampled]
    share = weights.sum()  # only this part of the mass has an error
    if share == 0:
        return mean, torch.zeros_like(mean), torch.full_like(mean, math.inf)
    weights, num_left = weights / share, dim * share
    centred = sampled - (sampled @ weights)[:, None]
    second, fourth = centred**2 @ weights, centred**4 @ weights
    stderr = share * (2 * second / ((num_left + 2) * num_probes)).sqrt()
    dof = num_probes * num_left * second**2 / fourth
    return mean, stderr, torch.where(fourth > 0, dof.clamp_min(num_probes), math.inf)
