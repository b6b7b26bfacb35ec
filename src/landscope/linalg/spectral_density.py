"""Density of a spectrum by Lanczos quadrature, with an error band."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, SupportsFloat

import torch
from jaxtyping import Float, Float64
from scipy import stats
from torch import Tensor

from landscope.identity import tensor_digest
from landscope.linalg.checkpoint import Checkpoint, named_operator
from landscope.linalg.deflation import DeflatedProduct
from landscope.linalg.eigenpairs import Eigenpairs
from landscope.linalg.eigsh import eigsh
from landscope.linalg.estimate import Estimate
from landscope.linalg.product import CountedProduct
from landscope.linalg.quadrature import (
    Quadrature,
    known,
    lanczos_quadratures,
    mixture,
    packed,
    unpacked,
)
from landscope.linalg.space import VectorSpace


@dataclass(frozen=True)
class GaussianKernel:
    """The Gaussian that each eigenvalue is smoothed by.

    Attributes
    ----------
    width : float
        Its standard deviation σ, in the unit of the eigenvalues.
    """

    width: float

    def __call__(self, x: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        """Density exp(−x²/2σ²)/√(2πσ²)."""
        return torch.exp(-0.5 * (x / self.width) ** 2) / (self.width * math.sqrt(2 * math.pi))

    def cumulative(self, x: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        """Mass left of x."""
        return torch.special.ndtr(x / self.width)


@dataclass(frozen=True)
class SpectralDensity:
    """The density (1/D) Σ_i kernel(x − λ_i) of a spectrum, estimated on a grid.

    Attributes
    ----------
    grid : Tensor of shape (m,)
        Points x, ascending, in the unit of the eigenvalues.
    density : Tensor of shape (m,)
        The density at each point, of total mass 1.
    stderr : Tensor of shape (m,)
        Its standard error over the random probes.
    dof : Tensor of shape (m,)
        Degrees of freedom of the standard error (Student t).
    kernel : GaussianKernel
        What the eigenvalues are smoothed by.
    quadrature : Quadrature
        Known eigenvalues and Ritz values of all probes, and their shares of the mass.
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
        """Pointwise confidence band of the density by Student's t.

        Parameters
        ----------
        level : float
            The share of such intervals that cover the truth at one point, in (0, 1).

        Returns
        -------
        tuple of Tensor of shape (m,)
            Lower and upper end.
        """
        half = torch.from_numpy(stats.t.ppf(0.5 + level / 2, self.dof.numpy())) * self.stderr
        return self.density - half, self.density + half

    def mass(self, a: SupportsFloat, b: SupportsFloat) -> Estimate:
        """Share of the smoothed spectrum between a and b.

        Parameters
        ----------
        a, b : float
            Ends of the interval, a ≤ b; infinite ones are accepted.

        Returns
        -------
        Estimate
            Between 0 and 1; times D it is a number of eigenvalues.
        """
        low, high = float(a), float(b)
        if not low <= high:
            raise ValueError(f"a must be at most b, got a = {low} and b = {high}")
        above, below = (self.kernel.cumulative(end - self.nodes) for end in (high, low))
        share, stderr, dof = _probe_mean(
            (above - below)[None], self.quadrature, self.num_probes, self.dim
        )
        return Estimate(share.item(), stderr.item(), dof.item(), self.num_products)

    def quantile(self, q: SupportsFloat) -> Estimate:
        """Point that has the share q of the smoothed spectrum on its left.

        Parameters
        ----------
        q : float
            Share, in (0, 1).

        Returns
        -------
        Estimate
            In the unit of the eigenvalues. Its standard error is that of the share, carried
            through the cumulative distribution.
        """
        share = float(q)
        if not 0 < share < 1:
            raise ValueError(f"q must lie in (0, 1), got {q}")
        (point,) = self._points_with_mass(share)
        error = self.mass(-math.inf, point)
        low, high = self._points_with_mass(share - error.stderr, share + error.stderr)
        return Estimate(point, (high - low) / 2, error.dof, self.num_products)

    def _points_with_mass(self, *shares: float) -> list[float]:
        """Invert the cumulative distribution by bisection, to rounding."""
        margin = 9 * self.kernel.width
        low = torch.full((len(shares),), self.nodes.min().item() - margin, dtype=torch.float64)
        high = torch.full_like(low, self.nodes.max().item() + margin)
        wanted = torch.tensor(shares, dtype=torch.float64)
        for _ in range(60):
            middle = (low + high) / 2
            short = self.kernel.cumulative(middle[:, None] - self.nodes) @ self.weights < wanted
            low, high = torch.where(short, middle, low), torch.where(short, high, middle)
        return ((low + high) / 2).tolist()


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
        Standard deviation σ of the Gaussian kernel, in the unit of the eigenvalues; by default the
        range of the spectrum that is not deflated, zero included, divided by ``num_steps``, about
        what so many steps resolve everywhere (they resolve the ends better).
    limits : tuple of float, optional
        Ends of the grid; by default five kernel widths beyond the ends of the spectrum that is not
        deflated. ``mass`` and ``quantile`` see the whole spectrum wherever the grid ends.
    deflate : int, Eigenpairs or "converged"
        Outliers that count exactly, with 1/D each, so that steps, kernel and grid serve the bulk:

        * an integer k: the k eigenpairs of largest magnitude, by `eigsh`, with their multiplicity;
        * `Eigenpairs` of A that are known already;
        * "converged": the Ritz values that a probe's Lanczos run has converged to. Takes not one
          product more, and is the most accurate density per product. It takes each for a simple
          eigenvalue, as the outliers of a network are; one that carries the weight of more than
          about ten counts by its weight.
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
        ``.grid .density .stderr .kernel .quantile(q) .mass(a, b) .interval(level)``.

    Raises
    ------
    ValueError, TypeError
        If an argument cannot be used, or the checkpoint was written with other arguments or for
        another operator.
    FloatingPointError
        If a product contains NaN or infinity.

    Notes
    -----
    For a probe v uniform on the unit sphere, E vᵀf(A)v = (1/D) Σ_i f(λ_i), and a Lanczos run from v
    gives vᵀf(A)v ≈ Σ_j w_j f(θ_j) with the Ritz values θ_j and the squared first components w_j of
    their vectors (Gauss quadrature: exact for polynomials of degree 2·num_steps − 1, and for
    every f once the Krylov space is exhausted; Ubaru, Chen & Saad 2017). The variance over probes
    is known,

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
    intervals covered the truth in 94.4 to 97.5 % at every point with 1 % or more of the largest
    density. The truth lies above them more often (3 %) than below (2 %), as sums of few squares are
    skewed. With fewer probes and few eigenvalues under the kernel they err on the safe side (up to
    99.8 % with one probe).

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
    for name, count in (
        ("num_probes", 1 if num_probes is None else num_probes),
        ("num_steps", num_steps),
        ("num_grid", num_grid),
    ):
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
    if width is not None and not width > 0:
        raise ValueError(f"width must be positive, got {width}")
    if rtol is not None and not rtol > 0:
        raise ValueError(f"rtol must be positive, got {rtol}")
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
    pairs = _known_pairs(A, space, deflate, seed, storage, file)
    product = DeflatedProduct(A, pairs.vectors, storage)
    left = space.dim - len(pairs.values)
    found = unpacked(file.state) if file and "nodes" in file.state else []
    probes = islice(_probes(product, seed), len(found), None)

    def density_from(count: int) -> SpectralDensity:
        """Use so many probes in all."""
        while len(found) < count:
            block = min(product.block_size or 1, count - len(found))
            starts = torch.cat([next(probes) for _ in range(block)], dim=1)
            if file:
                searched = isinstance(deflate, int) and deflate > 0
                file.state = _eigenpair_tensors(pairs) if searched else {}
                file.vectors = {"eigenvectors": pairs.vectors} if searched else {}
                file.state |= packed(found) if found else {}
            settle = deflate == "converged"
            found.extend(lanczos_quadratures(product, starts, num_steps, left, settle, file))
        used = found[:count]
        shares = [left / space.dim / count for _ in used]
        quadrature = mixture([known(pairs.values, space.dim), *used], [1.0, *shares])
        kernel, grid = _kernel_and_grid(quadrature, num_steps, num_grid, width, limits)
        density, stderr, dof = _probe_mean(
            kernel(grid[:, None] - quadrature.nodes), quadrature, count, space.dim
        )
        num_products = product.count + (pairs.num_products if isinstance(deflate, int) else 0)
        return SpectralDensity(
            grid, density, stderr, dof, kernel, quadrature, count, space.dim, num_products
        )

    if left == 0:
        density = density_from(0)
    else:
        density = density_from(num_probes or 8 if rtol is None else 1)
    while rtol is not None and left > 0:
        excess = (density.stderr.max() / (rtol * density.density.max())).item()
        wanted = math.ceil(density.num_probes * excess**2)
        wanted = wanted if num_probes is None else min(wanted, num_probes)
        if wanted <= density.num_probes:
            break
        density = density_from(wanted)
    if file:
        file.remove()
    return density


def _known_pairs(
    A: Any,
    space: VectorSpace,
    deflate: int | str | Eigenpairs,
    seed: int,
    storage: str | Path,
    file: Checkpoint | None,
) -> Eigenpairs:
    """Eigenpairs to deflate, found or given; none where Ritz values are to be settled later."""
    if isinstance(deflate, Eigenpairs):
        if len(deflate.vectors) != space.local_dim:
            raise ValueError(
                f"deflate has vectors of {len(deflate.vectors)} entries; A acts on those of "
                f"{space.local_dim}"
            )
        return deflate
    if isinstance(deflate, int) and deflate > 0:
        if file and file.vectors:
            return _recalled_eigenpairs(A, file)
        return eigsh(A, deflate, "LM", tol=1e-5, seed=seed, storage=storage, checkpoint=file)
    if deflate not in (0, "converged"):
        raise ValueError(
            f"deflate must be a number of eigenpairs, Eigenpairs or 'converged', got {deflate!r}"
        )
    none = torch.zeros(0, dtype=torch.float64)
    return Eigenpairs(none, space.basis(0).block(0, 0), none, converged=True, num_products=0)


def _eigenpair_tensors(pairs: Eigenpairs) -> dict[str, Tensor]:
    """Deflated eigenpairs for a checkpoint, but for the vectors."""
    return {
        "values": pairs.values,
        "residuals": pairs.residuals,
        "converged": torch.tensor(pairs.converged),
        "num_products": torch.tensor(pairs.num_products),
    }


def _recalled_eigenpairs(A: Any, file: Checkpoint) -> Eigenpairs:
    """Deflated eigenpairs of a checkpoint, after a product with the mean of the vectors."""
    state, product = file.state, CountedProduct(A)
    values, residuals = state["values"], state["residuals"]
    vectors = file.vectors["eigenvectors"].to(A.device)
    mean = torch.full((len(values), 1), len(values) ** -0.5, dtype=torch.float64)
    rounding = 1000 * torch.finfo(vectors.dtype).eps * values.abs().max()
    file.compare_product(
        product,
        vectors @ mean.to(vectors),
        vectors @ (values[:, None] * mean).to(vectors),
        (2 * residuals.norm() + rounding).item(),
    )
    count = int(state["num_products"]) + product.count
    return Eigenpairs(values, vectors, residuals, bool(state["converged"]), count)


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
) -> tuple[GaussianKernel, Float64[Tensor, " m"]]:
    """Kernel and grid for the part of the spectrum that is sampled, all of it if none is."""
    nodes = quadrature.nodes[quadrature.sampled | ~quadrature.sampled.any()]
    low, high = nodes.min().item(), nodes.max().item()
    spectrum_range = max(high, 0.0) - min(low, 0.0)
    kernel = GaussianKernel((spectrum_range or 1.0) / num_steps if width is None else width)
    first, last = limits or (low - 5 * kernel.width, high + 5 * kernel.width)
    if not first < last:
        raise ValueError(f"limits must be ascending, got {limits}")
    return kernel, torch.linspace(first, last, num_grid, dtype=torch.float64)


def _probe_mean(
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
