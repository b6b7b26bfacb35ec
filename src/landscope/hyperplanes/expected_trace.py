"""What the trace of PᵀAP is on average over random hyperplanes, and how it scatters."""

import math
from typing import SupportsFloat

from landscope.arguments import whole
from landscope.linalg import Estimate


def expected_trace(
    trace: SupportsFloat, frobenius_norm: SupportsFloat, num_params: int, dim: int
) -> Estimate:
    r"""Mean and standard deviation of Tr PᵀAP over uniform random orthonormal P (D × d).

    Parameters
    ----------
    trace, frobenius_norm : float or Estimate
        Tr A and ‖A‖_F of the symmetric D × D operator.
    num_params, dim : int
        D and d.

    Returns
    -------
    Estimate
        (d/D) Tr A. Its standard error is that of a single draw of P, together with that of Tr A
        where it was estimated: a measured Tr PᵀAP that lies many of them away points to a mistake.

    Raises
    ------
    ValueError
        For d outside 1 to D.

    Notes
    -----
    .. math:: \mathrm{Var}\,\mathrm{Tr}\,P^⊤AP = \frac{2d(D−d)\,[D‖A‖_F^2 − (\mathrm{Tr}A)^2]}
        {D^2(D−1)(D+2)}.

    Second moments of a projection onto a uniform subspace. Other random bases have the same mean,
    and another variance.

    Examples
    --------
    >>> expected_trace(100.0, 10.0, num_params=100, dim=10)  # the identity: every P sees the same
    Estimate(10, exact)
    >>> expected_trace(1.0, 1.0, num_params=100, dim=10)
    Estimate(0.100 ± 0.042)
    """
    num_params = whole("num_params", num_params)
    dim = whole("dim", dim, 1, num_params, "num_params")
    D, d = num_params, dim
    share = d / D
    spread = max(D * float(frobenius_norm) ** 2 - float(trace) ** 2, 0.0)
    variance = 2 * d * (D - d) * spread / (D**2 * max(D - 1, 1) * (D + 2))
    stderr = math.sqrt(variance + (share * getattr(trace, "stderr", 0.0)) ** 2)
    return Estimate(share * float(trace), stderr)
