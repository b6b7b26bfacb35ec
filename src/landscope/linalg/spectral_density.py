"""Density of a spectrum by Lanczos quadrature, and shares of eigenvalues with errors that cover."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, SupportsFloat

import torch
from jaxtyping import Float, Float64
from scipy.special import stdtrit
from torch import Tensor

from landscope import arguments as check
from landscope.identity import tensor_digest
from landscope.linalg.checkpoint import Checkpoint, named_operator
from landscope.linalg.deflation import DeflatedProduct
from landscope.linalg.eigenpairs import Eigenpairs
from landscope.linalg.eigenpairs_to_deflate import eigenpair_tensors, eigenpairs_to_deflate
from landscope.linalg.estimate import Estimate
from landscope.linalg.gaussian_kernel import GaussianKernel
from landscope.linalg.probe_mean import probe_mean
from landscope.linalg.product import CountedProduct
from landscope.linalg.quadrature import (
    FIELDS,
    Quadrature,
    known,
    lanczos_quadratures,
    mixture,
    packed,
    settled,
    unpacked,
)
from landscope.linalg.spectral_distribution import Atom, SpectralDistribution

MOST_POINTS = 100_000
"""Of a grid: each is compared with every node."""


@dataclass(frozen=True, repr=False)
class SpectralDensity:
    """A spectrum as random probes show it: a smoothed curve, and shares of its eigenvalues.

    `mass`, `quantile`, `cdf_bounds` and `atoms` are about the eigenvalues themselves: their
    intervals hold what Lanczos steps leave open and what few probes leave to chance. The curve is
    (1/D) Σ_i kernel(x − λ_i), the spectrum seen through the kernel; its standard error is that over
    the probes alone, and says nothing of what the kernel has smoothed away.

    Attributes
    ----------
    grid : Tensor of shape (m,)
        Points x, ascending, in the unit of the eigenvalues.
    density : Tensor of shape (m,)
        The curve at each point, of total mass 1.
    stderr : Tensor of shape (m,)
        Standard error of the curve over the random probes.
    dof : Tensor of shape (m,)
        Degrees of freedom of the standard error (Student t).
    kernel : GaussianKernel
        What the eigenvalues are smoothed by.
    quadrature : Quadrature
        Known eigenvalues and Ritz values of all probes, and their shares of the mass.
    distribution : SpectralDistribution
        What the probes tell of shares of eigenvalues.
    num_probes : int
        Number of random probes.
    dim : int
        Number D of eigenvalues.
    num_products : int
        Number of vectors that A was applied to.
    """

    grid: Float64[Tensor, " m"]
    density: Float64[Tensor, " m"]
    stderr: Float64[Tensor, " m"]
    dof: Float64[Tensor, " m"]
    kernel: GaussianKernel
    quadrature: Quadrature
    distribution: SpectralDistribution
    num_probes: int
    dim: int
    num_products: int

    @property
    def nodes(self) -> Float64[Tensor, " n"]:
        """Known eigenvalues and Ritz values of all probes."""
        return self.quadrature.nodes

    @property
    def weights(self) -> Float64[Tensor, " n"]:
        """Their shares of the mass, which add up to 1."""
        return self.quadrature.weights

    def interval(self, level: float = 0.95) -> tuple[Float64[Tensor, " m"], Float64[Tensor, " m"]]:
        """Pointwise confidence band of the smoothed curve by Student's t.

        Parameters
        ----------
        level : float
            The share of such intervals that cover the truth at one point, in (0, 1).

        Returns
        -------
        tuple of Tensor of shape (m,)
            Lower and upper end.
        """
        level = check.real("level", level, "(0, 1)")
        half = torch.from_numpy(stdtrit(self.dof.numpy(), 0.5 + level / 2)) * self.stderr
        return self.density - half, self.density + half

    def mass(self, a: SupportsFloat, b: SupportsFloat) -> Estimate:
        """Share of the eigenvalues in [a, b].

        Parameters
        ----------
        a, b : float
            Ends of the interval, a ≤ b; infinite ones are accepted. An eigenvalue that equals an
            end up to rounding (32 eps of the largest magnitude) lies inside.

        Returns
        -------
        Estimate
            Between 0 and 1; times D it is a number of eigenvalues. Its ``interval(level)`` covers
            the exact share at least as often as the level says. Its standard error is that over the
            probes, plus half of what the Lanczos steps leave open.
        """
        low, high = check.real("a", a, "[-∞, ∞]"), check.real("b", b, "[-∞, ∞]")
        if not low <= high:
            raise ValueError(f"a must be at most b, got a = {low} and b = {high}")
        return self.distribution.mass(low, high)

    def quantile(self, q: SupportsFloat) -> Estimate:
        """Least eigenvalue up to which there is the share q of the spectrum.

        Parameters
        ----------
        q : float
            Share, in (0, 1).

        Returns
        -------
        Estimate
            In the unit of the eigenvalues. Its ``interval(level)`` covers the exact one at least as
            often as the level says; its ends are infinite where too little is known. Its standard
            error is half the width of the interval at the level of one standard deviation.
        """
        return self.distribution.quantile(check.real("q", q, "(0, 1)"))

    def cdf_bounds(self, x: Any, level: float = 0.95) -> tuple[Any, Any]:
        """Bounds on the distribution function: the share of eigenvalues ≤ x.

        Parameters
        ----------
        x : float, or Tensor or array of any shape
            Points; infinite ones are accepted. An eigenvalue that equals a point up to rounding
            counts as ≤ x.
        level : float
            The bounds at one point hold in at least this share of runs, in (0, 1).

        Returns
        -------
        tuple of float, or of Tensor of x's shape
            Lower and upper bound. Both rise with x.

        Examples
        --------
        Three eigenvalues and 997 zeros:

        >>> A = torch.diag(torch.tensor([20.0, 10.0, 5.0] + 997 * [0.0], dtype=torch.float64))
        >>> low, high = spectral_density(A).cdf_bounds(1.0)
        >>> 0.994 < low <= 0.997 <= high < 1
        True
        """
        level = check.real("level", level, "(0, 1)")
        points = torch.as_tensor(x, dtype=torch.float64).detach().cpu()
        if bool(points.isnan().any()):
            raise ValueError("x must hold numbers, got nan")
        low, high = self.distribution.bounds(points.reshape(-1), level)
        if points.ndim == 0 and not isinstance(x, Tensor):
            return low.item(), high.item()
        return low.reshape(points.shape), high.reshape(points.shape)

    def atoms(self) -> list[Atom]:
        """Multiple eigenvalues, as far as Lanczos has converged to them.

        Returns
        -------
        list of Atom
            ``.location .error .share``, ascending: those that are certainly more than one, as the
            zeros of an operator of low rank. One of a few copies shows only where many probes or
            deflated eigenpairs say so.

        Examples
        --------
        >>> A = torch.diag(torch.tensor([20.0, 10.0, 5.0] + 997 * [0.0], dtype=torch.float64))
        >>> (zero,) = spectral_density(A).atoms()
        >>> low, high = zero.share.interval()
        >>> abs(zero.location) <= zero.error < 1e-10, low <= 0.997 <= high
        (True, True)
        """
        return self.distribution.atoms()

    def __repr__(self) -> str:
        return (
            f"SpectralDensity(D = {self.dim:,}, {self.num_probes} probes, "
            f"{self.num_products:,} products, curve through a {self.kernel})"
        )


def spectral_density(
    A: Any,
    num_probes: int | None = None,
    num_steps: int = 80,
    seed: int = 0,
    num_grid: int = 1000,
    width: float | int | None = None,
    limits: tuple[float | int, float | int] | None = None,
    deflate: int | str | Eigenpairs = 0,
    rtol: float | None = None,
    storage: str | Path = "device",
    checkpoint: str | Path | None = None,
) -> SpectralDensity:
    r"""Estimate the density of a symmetric operator's spectrum.

    Parameters
    ----------
    A : operator of shape (D, D)
        Symmetric; anything with ``@``, ``shape``, ``dtype`` and ``device``. One that multiplies
        several vectors at a better price names their number as its ``block_size``: so many probes
        then run side by side.
    num_probes : int, optional
        Number of random probes, by default 8: the error falls with its square root. With
        ``rtol``, the most to use, by default as many as it takes.
    num_steps : int
        Lanczos steps per probe: the resolution rises with it.
    seed : int
        Seed of the probes, and of `eigsh`.
    num_grid : int
        Number m of grid points.
    width : float, optional
        Standard deviation σ of the Gaussian kernel of the curve, in the unit of the eigenvalues; by
        default the range of the spectrum that is not deflated, zero included, divided by
        ``num_steps``, about what so many steps resolve everywhere (they resolve the ends better).
    limits : tuple of float, optional
        Ends of the grid; by default five kernel widths beyond the ends of the spectrum that is not
        deflated: below 0, too, where A is positive semi-definite, as the kernel is.
    deflate : int, Eigenpairs or "converged"
        Outliers that count exactly, with 1/D each, so that steps, kernel and grid serve the bulk:

        * an integer k: the k eigenpairs of largest magnitude, by `eigsh`, with their multiplicity;
        * `Eigenpairs` of A that are known already;
        * "converged": the simple eigenvalues that Lanczos runs have converged to. Takes not one
          product more, and is the most accurate density per product. Of a multiple eigenvalue, each
          probe finds an eigenvector of its own, so two probes tell it from a simple one; it counts
          by its weight. A single probe cannot tell: it takes each for simple, as the outliers of a
          network are, but one that carries the weight of more than about ten.
    rtol : float, optional
        Add probes until the standard error of the density is at most ``rtol`` times its largest
        value, at every point of the grid.
    storage : {"device", "host", "disk"} or Path
        Where the Krylov bases are kept, as for `eigsh`: ``num_steps`` vectors of size D for each
        probe that runs.
    checkpoint : str or Path, optional
        A file that keeps the state, for at most a twentieth of the time. If it exists, the run
        goes on from there and takes the same steps, after one product that compares A, and one
        more for deflated eigenpairs that were found already; at the end it is removed. Where
        vectors are spread over processes it is a folder, as for `eigsh`.

    Returns
    -------
    SpectralDensity
        ``.mass(a, b) .quantile(q) .cdf_bounds(x) .atoms()`` of the spectrum itself;
        ``.grid .density .stderr .kernel .interval(level)`` of the curve through the kernel.

    Raises
    ------
    ValueError, TypeError
        If an argument cannot be used, or the checkpoint was written with other arguments or for
        another operator; if ``rtol`` would take more than a million probes.
    FloatingPointError
        If a product contains NaN or infinity.

    Notes
    -----
    For a probe v uniform on the unit sphere, E vᵀf(A)v = (1/D) Σ_i f(λ_i), and a Lanczos run from v
    gives vᵀf(A)v ≈ Σ_j w_j f(θ_j) with the Ritz values θ_j and the squared first components w_j of
    their vectors (Gauss quadrature: exact for polynomials of degree 2·num_steps − 1, and for
    every f once the Krylov space is exhausted; Ubaru, Chen & Saad 2017). What the steps leave open
    of a share of eigenvalues is bounded by `distribution_bounds` (Chebyshev, Markov, Stieltjes),
    what probes leave to chance has the Beta law of `ProbeShares`; intervals of shares and quantiles
    hold both. The curve has a band for the second alone. The variance over probes is known,

    .. math:: \mathrm{Var}(v^⊤f(A)v) = \frac{2}{D+2}\left(\overline{f^2} − \overline{f}^2\right),

    with bars for means over the spectrum, which the same nodes give. It is steadier than the
    spread of a few probes where few eigenvalues count. The degrees of freedom are Satterthwaite's,
    and no fewer than ``num_probes``, their number for a single eigenvalue. With k eigenpairs
    deflated, probes are uniform in the complement of their vectors: D becomes D − k above, and
    only that part of the mass has an error.

    As the variance is known, not sampled, the number of probes for an ``rtol`` follows from the
    first one, and the intervals stay calibrated.

    In 20,000 sets of four or eight probes for each of three spectra of D = 80 (a bulk with
    outliers, flat, two bulks) and three widths, from 1/60 to 1/8 of the flat one's range, the 95 %
    intervals of the curve covered the truth in 94.4 to 97.5 % at every point with 1 % or more of
    the largest density. The truth lies above them more often (3 %) than below (2 %), as sums of few
    squares are skewed. With fewer probes and few eigenvalues under the kernel they err on the safe
    side (up to 99.8 % with one probe).

    Per product, one probe with many steps and ``deflate="converged"`` comes nearest to the spectrum
    of a large operator: a probe's error is of order 1/√D. By `wasserstein_distance`, 20 products so
    came nearer to the Hessian of a small convolutional network (D = 1,446, nine outliers) than 640
    products on eight probes without, and 30 nearer than 640 to a spectrum of D = 20,000 with nine
    outliers and a power law below. Chebyshev moments with Jackson's kernel at the same number of
    products were 3 to 170 times as far off.

    Examples
    --------
    >>> import torch
    >>> A = torch.diag(torch.linspace(0, 1, 200, dtype=torch.float64))
    >>> density = spectral_density(A, num_probes=6, num_steps=30)
    >>> low, high = density.mass(0.0, 0.5).interval()
    >>> low < 0.5 < high
    True
    """
    if num_probes is not None:
        num_probes = check.whole("num_probes", num_probes, 1, check.MOST_PROBES)
    num_steps = check.whole("num_steps", num_steps)
    num_grid, seed = check.whole("num_grid", num_grid, 1, MOST_POINTS), check.seed(seed)
    for name, number in (("width", width), ("rtol", rtol)):
        if number is not None:
            check.real(name, number, "(0, ∞)")
    if limits is not None:
        _check_limits(limits)
    space = CountedProduct(A).space
    file = None
    if checkpoint is not None:
        arguments = {"algorithm": "spectral_density", "D": space.dim, "dtype": str(space.dtype)}
        arguments |= {"num_probes": num_probes, "num_steps": num_steps, "seed": seed, "rtol": rtol}
        arguments |= {"num_grid": num_grid, "width": width, "limits": limits}
        arguments |= {"deflate": deflate, "block_size": getattr(A, "block_size", None)}
        if isinstance(deflate, Eigenpairs):
            arguments["deflate"] = [tensor_digest(deflate.values), space.digest(deflate.vectors)]
        file = Checkpoint(checkpoint, arguments | named_operator(A), space)
    pairs = eigenpairs_to_deflate(A, space, deflate, seed, storage, file)
    product = DeflatedProduct(A, pairs.vectors, storage)
    left = space.dim - len(pairs.values)
    found: list[Quadrature] = []
    if file and "nodes" in file.state:
        file.require(file.state, *FIELDS)
        found = unpacked(file.state)
    probes = islice(_probes(product, seed), len(found), None)

    psd = bool(getattr(A, "psd", False))
    least = 0.0 if psd else -math.inf
    known_part = known(pairs.values, pairs.residuals, space.dim).at_least(least)
    eps = torch.finfo(space.dtype).eps

    def density_from(count: int) -> SpectralDensity:
        """Use so many probes in all."""
        while len(found) < count:
            block = min(product.block_size or 1, count - len(found))
            starts = torch.cat([next(probes) for _ in range(block)], dim=1)
            if file:
                searched = isinstance(deflate, int) and deflate > 0
                file.state = eigenpair_tensors(pairs) if searched else {}
                file.vectors = {"eigenvectors": pairs.vectors} if searched else {}
                file.state |= packed(found) if found else {}
            mark = deflate == "converged"
            found.extend(lanczos_quadratures(product, starts, num_steps, left, mark, file))
        used = [part.at_least(least) for part in found[:count]]
        used = settled(used, left, eps) if deflate == "converged" else used
        shares = [left / space.dim / count for _ in used]
        quadrature = mixture([known_part, *used], [1.0, *shares])
        rounding = 32 * eps * quadrature.nodes.abs().max().item()
        kernel, grid = _kernel_and_grid(quadrature, num_steps, num_grid, width, limits, rounding)
        # In units of 1/σ no square of a density under- or overflows.
        smoothed = kernel.width * kernel(grid[:, None] - quadrature.nodes)
        density, stderr, dof = probe_mean(smoothed, quadrature, count, space.dim)
        num_products = product.count + (pairs.num_products if isinstance(deflate, int) else 0)
        probed = tuple(used) or (known_part[:0],)
        distribution = SpectralDistribution(
            probed, known_part, space.dim, rounding, eps, psd, num_products
        )
        curve = grid, density / kernel.width, stderr / kernel.width, dof, kernel
        return SpectralDensity(*curve, quadrature, distribution, count, space.dim, num_products)

    density = density_from(0 if left == 0 else num_probes or 8 if rtol is None else 1)
    while rtol is not None and left > 0:
        highest = density.density.max().item()
        excess = density.stderr.max().item() / highest / rtol if highest > 0 else 0.0
        wanted = density.num_probes * min(excess, 1e100) ** 2
        if num_probes is None and wanted > check.MOST_PROBES:
            raise ValueError(
                f"rtol is {rtol:g}, which takes about {wanted:.0e} probes; at most "
                f"{check.MOST_PROBES:,} are accepted: name a larger rtol, or num_probes"
            )
        wanted = math.ceil(wanted if num_probes is None else min(wanted, num_probes))
        if wanted <= density.num_probes:
            break
        density = density_from(wanted)
    if file:
        file.remove()
    return density


def _probes(product: DeflatedProduct, seed: int) -> Iterator[Float[Tensor, "D 1"]]:
    """Random vectors orthogonal to what is deflated, the same for every block size."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield product.rest(product.space.random(1, generator))


def _kernel_and_grid(
    quadrature: Quadrature,
    num_steps: int,
    num_grid: int,
    width: float | int | None,
    limits: tuple[float | int, float | int] | None,
    rounding: float,
) -> tuple[GaussianKernel, Float64[Tensor, " m"]]:
    """Kernel and grid for the part of the spectrum that is sampled, all of it if none is."""
    nodes = quadrature.nodes[quadrature.sampled | ~quadrature.sampled.any()]
    low, high = nodes.min().item(), nodes.max().item()
    spectrum_range = max(high, 0.0) - min(low, 0.0)
    if spectrum_range <= rounding:  # one point is left: the kernel serves the whole
        spectrum_range = quadrature.nodes.abs().max().item() or 1.0
    sigma = spectrum_range / num_steps if width is None else width
    first, last = limits or (low - 5 * sigma, high + 5 * sigma)
    return GaussianKernel(sigma), torch.linspace(first, last, num_grid, dtype=torch.float64)


def _check_limits(limits: Any) -> None:
    """Refuse what are no two ascending numbers."""
    try:
        first, last = limits
    except (TypeError, ValueError):
        raise ValueError(f"limits is {check.shown(limits)}; it must be a pair of numbers") from None
    if not check.real("limits[0]", first) < check.real("limits[1]", last):
        raise ValueError(f"limits is {check.shown(limits)}; its numbers must be ascending")
