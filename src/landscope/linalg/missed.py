"""What a Krylov space may have missed: the largest share of a random vector that it leaves open."""

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from landscope.linalg.ends import Margins

RARE_SHARE = 0.5e-4 * math.pi  # D·|w·u|² ~ χ² of one degree is as small with probability 1 %
RARER_SHARE = 0.5e-8 * math.pi  # 0.01 %, for bounds that are to hold always


class Probe:
    r"""A random unit vector w in a Krylov space, and how much of it a missed eigenvector can hold.

    A Krylov space of one vector holds one direction of each eigenspace: other copies of an
    eigenvalue show only in a space that grows from another random vector w. With AQ = [Q W]H, let
    T = QᵀAQ have the eigenpairs (θ_i, s_i), and let R = WᵀAQ. An eigenvector u of A with eigenvalue
    λ that is orthogonal to the converged Ritz vectors has coordinates y_i = (Qs_i)ᵀu and z = Wᵀu
    with :math:`(θ_i − λ) y_i = −(R s_i)^⊤ z`, from the first n rows of Au = λu. So wᵀu = aᵀz is
    linear in z, and since ‖y‖² + ‖z‖² ≤ 1,

    .. math:: (w^⊤u)^2 ≤ a^⊤ (I + GG^⊤)^{-1} a, \qquad G_i = R s_i / (θ_i − λ),

    the sum over the Ritz pairs that have not converged. For a Krylov space grown from w alone this
    is the Christoffel function of its quadrature at λ. The bound falls like the inverse square of a
    Chebyshev polynomial as the space grows, faster still where few eigenvalues lie near λ. Since
    D·(wᵀu)² is chi-squared with one degree of freedom, a bound of ``RARE_SHARE``/D says with 99 %
    confidence that there is no such u at λ, and the less beyond it.

    Parameters
    ----------
    margins : Margins
        The eigenvalues λ to rule out are those at the margins and beyond.
    known : Tensor of shape (j,)
        The Ritz values at the start.
    weights : Tensor of shape (m, n)
        Coordinates of w in the basis [Q W], one row for each finite margin; they differ after
        a restart.
    """

    def __init__(
        self, margins: Margins, known: Float64[Tensor, " j"], weights: Float64[Tensor, "m n"]
    ):
        self.margins = margins
        self.known = known
        self.weights = weights

    @property
    def num_known(self) -> int:
        """Number of values beyond the margins at the start."""
        return int(self.margins.beyond(self.known).sum())

    def follow(self, margins: Margins) -> None:
        """Move the margins outward with the last wanted value; a carried-over share is kept."""
        if margins.points and margins.low <= self.margins.low and margins.high >= self.margins.high:
            kept = [i for i, old in enumerate(self.margins) if math.isfinite(old)]
            rows = [kept.index(i) for i, new in enumerate(margins) if math.isfinite(new)]
            self.margins, self.weights = margins, self.weights[rows]

    def share(
        self,
        values: Float64[Tensor, " n"],
        rotation: Float64[Tensor, "q n"],
        coupling: Float64[Tensor, "p n"],
    ) -> tuple[float, Float64[Tensor, " p"]]:
        """Bound the share (wᵀu)² of a missed eigenvector u at the margins.

        Parameters
        ----------
        values, rotation : Tensor of shape (n,) and (q, n)
            The Ritz pairs θ_i, s_i of Q that u is not orthogonal to.
        coupling : Tensor of shape (p, n)
            R s_i.

        Returns
        -------
        share : float
            The largest bound over the margins.
        direction : Tensor of shape (p,)
            The coordinates z in W, of length one, of the u that it belongs to.
        """
        largest, direction = 0.0, coupling.new_zeros(len(coupling))
        for point, a in zip(
            self.margins.points, self._eliminated(values, rotation, coupling), strict=True
        ):
            G = coupling / (values - point)
            z = torch.linalg.solve(torch.eye(len(a), dtype=a.dtype) + G @ G.T, a)
            if a @ z > largest:
                largest, direction = (a @ z).item(), z / z.norm()
        return largest, direction

    def grow(self, size: int) -> None:
        """Follow a basis that has grown to ``size`` vectors, all new ones orthogonal to w."""
        self.weights = torch.nn.functional.pad(self.weights, (0, size - self.weights.shape[1]))

    def turn(self, rotation: Float64[Tensor, "p p"]) -> None:
        """Follow W ← WU."""
        first = self.weights.shape[1] - len(rotation)
        self.weights[:, first:] = self.weights[:, first:] @ rotation

    def restart(
        self,
        kept: Float64[Tensor, "q k"],
        values: Float64[Tensor, " n"],
        rotation: Float64[Tensor, "q n"],
        coupling: Float64[Tensor, "p n"],
    ) -> None:
        """Follow Q ← QS: a share of dropped Ritz vectors is carried over to W, exactly."""
        pending = self._eliminated(values, rotation, coupling)
        self.weights = torch.cat([self.weights[:, : len(kept)] @ kept, pending], dim=1)

    def _eliminated(
        self,
        values: Float64[Tensor, " n"],
        rotation: Float64[Tensor, "q n"],
        coupling: Float64[Tensor, "p n"],
    ) -> Float64[Tensor, "m p"]:
        """Weights on W after y_i was expressed by z."""
        inside, pending = self.weights.split([len(rotation), len(coupling)], dim=1)
        points = self.weights.new_tensor(self.margins.points)
        return pending - (inside @ rotation / (values - points[:, None])) @ coupling.T
