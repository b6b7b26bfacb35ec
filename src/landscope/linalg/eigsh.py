"""Eigenpairs at the ends of a spectrum: thick-restart Lanczos with true residuals."""

import warnings
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from landscope.linalg.ends import Which, by_preference, steps_to_notice
from landscope.linalg.lanczos import KrylovSubspace
from landscope.linalg.product import CountedProduct
from landscope.linalg.space import VectorSpace


class ConvergenceWarning(UserWarning):
    """An iteration stopped before it reached the tolerance that was asked for."""


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenvalues and eigenvectors, with their residuals.

    Attributes
    ----------
    values : Tensor of shape (k,)
        Eigenvalues λ in float64 on the CPU, in the order that ``which`` names.
    vectors : Tensor of shape (D, k)
        Eigenvectors v of length one in the operator's dtype, the entry of largest magnitude
        positive.
    residuals : Tensor of shape (k,)
        ‖Av − λv‖ from explicit products, in float64: within this distance of each λ lies an
        eigenvalue of A.
    converged : bool
        Whether every residual is at most tol·|λ|max.
    num_products : int
        Number of vectors that A was applied to.
    """

    values: Float64[Tensor, " k"]
    vectors: Float[Tensor, "D k"]
    residuals: Float64[Tensor, " k"]
    converged: bool
    num_products: int


def eigsh(
    A: Any,
    k: int,
    which: str = "LA",
    tol: float = 1e-4,
    seed: int = 0,
    max_products: int | None = None,
    v0: Float[Tensor, " D"] | Float[Tensor, "D j"] | None = None,
    basis_size: int | None = None,
) -> Eigenpairs:
    """Eigenpairs of a symmetric operator at one or both ends of its spectrum.

    Parameters
    ----------
    A : operator of shape (D, D)
        Symmetric; anything with ``@``, ``shape``, ``dtype`` (float32 or float64) and ``device``.
    k : int
        Number of eigenpairs, 1 ≤ k ≤ D.
    which : {"LA", "SA", "LM", "BE"}
        "LA": the largest, descending; "SA": the smallest, ascending; "LM": the largest in
        magnitude, by descending magnitude; "BE": both ends, descending, the top end with one more
        for odd k.
    tol : float
        Every residual ‖Av − λv‖ is to be at most tol·|λ|max, with |λ|max the largest
        magnitude of an eigenvalue of A that was seen. In float32 about 1e-6 can be reached.
    seed : int
        Seed of the start vector and of the directions that look for missed eigenvalues.
    max_products : int, optional
        Stop after so many products; by default 100 times ``basis_size``.
    v0 : Tensor of shape (D,) or (D, j), optional
        Where to start, such as the eigenvectors at nearby weights; columns are added up, which
        takes fewer products than a block.
    basis_size : int, optional
        Most vectors of size D that the Krylov basis holds before it is restarted (up to k more
        are in work), at least 2k + 1; by default max(40, 3k). If D is no larger, the matrix is
        built by D products and diagonalised.

    Returns
    -------
    Eigenpairs
        ``.values .vectors .residuals .converged .num_products``.

    Raises
    ------
    ValueError, TypeError
        If an argument cannot be used.
    FloatingPointError
        If a product contains NaN or infinity.

    Warns
    -----
    ConvergenceWarning
        If the products ran out, or rounding kept the residuals above the tolerance; the best
        pairs found are returned with ``converged`` false.

    Notes
    -----
    Thick-restart Lanczos [1]_ from one random vector, every new vector orthogonalised against the
    whole basis twice, the projected matrix kept in float64. A Krylov space from one vector holds
    one direction of each eigenspace, so when the wanted pairs have converged the iteration goes
    on from a fresh random direction orthogonal to them, for as many steps as a missed copy
    would need to show (``steps_to_notice``); if the wanted values changed, it looks again.
    Residuals are then computed by k explicit products, and the iteration goes on where they are
    still above the tolerance.

    References
    ----------
    .. [1] K. Wu and H. Simon, "Thick-restart Lanczos method for large symmetric eigenvalue
       problems", SIAM J. Matrix Anal. Appl. 22 (2000).

    Examples
    --------
    >>> import torch
    >>> A = torch.diag(torch.arange(1.0, 201.0, dtype=torch.float64))
    >>> top = eigsh(A, k=3, tol=1e-8)
    >>> [round(value, 6) for value in top.values.tolist()]
    [200.0, 199.0, 198.0]
    >>> top.converged
    True
    """
    product = CountedProduct(A)
    space = product.space
    _check(k, which, tol, space.dim)
    which = cast(Which, which)
    basis_size = max(40, 3 * k) if basis_size is None else basis_size
    max_products = 100 * basis_size if max_products is None else max_products
    if basis_size < 2 * k + 1:
        raise ValueError(f"basis_size must be at least 2k + 1 = {2 * k + 1}, got {basis_size}")
    if max_products < min(2 * k + 1, space.dim):
        raise ValueError(f"max_products must be at least 2k + 1 = {2 * k + 1}, got {max_products}")
    if space.dim <= min(basis_size, max_products):
        identity = space.identity()
        pairs, _ = _ritz_pairs(product, identity, product(identity), k, which, tol)
    else:
        generator = torch.Generator().manual_seed(seed)
        start = space.random(1, generator) if v0 is None else _start(v0, space)
        search = _Search(product, k, which, tol, basis_size, max_products, generator)
        pairs = search.run(start)
    if not pairs.converged:
        warnings.warn(
            f"eigsh: residuals up to {pairs.residuals.max():.1e} stay above tol·|λ|max for "
            f"tol = {tol:g} after {product.count} products in {A.dtype} "
            f"(max_products = {max_products})",
            ConvergenceWarning,
            stacklevel=2,
        )
    return pairs


class _Search:
    """One search for eigenpairs: what was asked for, and the Ritz pairs at hand.

    ``values``, ``rotation`` and ``residuals`` are those of the current Krylov space, from the most
    to the least wanted.
    """

    values: Float64[Tensor, " n"]
    rotation: Float64[Tensor, "n n"]
    residuals: Float64[Tensor, " n"]

    def __init__(
        self,
        product: CountedProduct,
        k: int,
        which: Which,
        tol: float,
        basis_size: int,
        max_products: int,
        generator: torch.Generator,
    ):
        self.product = product
        self.k = k
        self.which: Which = which
        self.tol = tol
        self.basis_size = basis_size
        self.max_products = max_products
        self.generator = generator
        self.largest = 0.0  # the largest magnitude of a Ritz value so far

    def run(self, start: Float[Tensor, "D 1"]) -> Eigenpairs:
        """Iterate, compute the true residuals, and go on from there while that helps."""
        krylov = KrylovSubspace(self.product, self.basis_size + self.k)
        krylov.add(start / self.product.space.norms(start).item())
        self._iterate(krylov, look_for_missed=True)
        best, images = self._explicit(krylov)
        while not best.converged:
            krylov = KrylovSubspace(self.product, self.basis_size + self.k)
            krylov.add(best.vectors)
            krylov.absorb(images)
            self._project(krylov)
            if not self._affords(krylov):
                break
            self._iterate(krylov, look_for_missed=False)
            pairs, images = self._explicit(krylov)
            stagnates = bool(pairs.residuals.max() > best.residuals.max() / 2)
            best = min(best, pairs, key=lambda found: found.residuals.max().item())
            if stagnates:
                break
        return replace(best, num_products=self.product.count)

    def _iterate(self, krylov: KrylovSubspace, look_for_missed: bool) -> None:
        """Expand until the wanted pairs have converged and none seems to be missed."""
        rounding = torch.finfo(krylov.space.dtype).eps
        known, look_until, num_fresh = None, 0, 1
        while not krylov.complete:
            if krylov.pending == 0:
                krylov.add(self._fresh(1))
            if not self._affords(krylov):
                return
            if krylov.size + krylov.pending > self.basis_size:
                half = (self.basis_size + self.k) // 2
                krylov.restart(self.rotation[:, : min(half, self.basis_size - krylov.pending)])
            krylov.expand()
            self._project(krylov)
            tolerated = max(self.tol / 2, rounding) * self.largest
            if krylov.size < self.k or self.product.count < look_until:
                continue
            if self.residuals[: self.k].max() > tolerated:
                continue
            wanted = self.values[: self.k]
            if not look_for_missed or (
                known is not None and (wanted - known).abs().max() <= self.tol * self.largest
            ):
                return
            steps = steps_to_notice(
                self.values, self.k, self.which, krylov.space.dim, self.tol * self.largest
            )
            if steps == 0:
                return
            known = wanted
            krylov.restart(self.rotation[:, self.residuals <= tolerated], keep_pending=False)
            self._project(krylov)
            krylov.add(self._fresh(num_fresh))
            look_until = self.product.count + min(steps * num_fresh, self.product.count)
            num_fresh = min(2 * num_fresh, self.k)  # who missed one copy missed more

    def _project(self, krylov: KrylovSubspace) -> None:
        values, rotation = torch.linalg.eigh(krylov.projected)
        order = by_preference(values, self.which)
        self.values, self.rotation = values[order], rotation[:, order]
        self.residuals = (krylov.coupling @ self.rotation).norm(dim=0)
        self.largest = max(self.largest, values.abs().max().item())

    def _explicit(self, krylov: KrylovSubspace) -> tuple[Eigenpairs, Float[Tensor, "D k"]]:
        krylov.restart(self.rotation[:, : self.k], keep_pending=False)
        vectors = krylov.basis.block(0, self.k)
        images = self.product(vectors)
        return _ritz_pairs(
            self.product, vectors, images, self.k, self.which, self.tol, self.largest
        )

    def _affords(self, krylov: KrylovSubspace) -> bool:
        return self.product.count + krylov.pending + self.k <= self.max_products

    def _fresh(self, count: int) -> Float[Tensor, "D b"]:
        space = self.product.space
        return space.random(count, self.generator) / space.dim**0.5


def _ritz_pairs(
    product: CountedProduct,
    X: Float[Tensor, "D n"],
    AX: Float[Tensor, "D n"],
    k: int,
    which: Which,
    tol: float,
    largest: float = 0.0,
) -> tuple[Eigenpairs, Float[Tensor, "D k"]]:
    """Eigenpairs from orthonormal X and explicit products AX; and the products AV."""
    space = product.space
    T = space.gram(X, AX)
    values, rotation = torch.linalg.eigh((T + T.T) / 2)
    largest = max(largest, values.abs().max().item())
    chosen = by_preference(values, which)[:k]
    if which == "BE":
        chosen = chosen[values[chosen].argsort(descending=True)]
    values, rotation = values[chosen], rotation[:, chosen].to(X)
    vectors, images = X @ rotation, AX @ rotation
    residuals = space.norms(images - vectors * values.to(X))
    converged = bool(residuals.max() <= tol * largest)
    signs = space.signs(vectors)
    return Eigenpairs(values, vectors * signs, residuals, converged, product.count), images * signs


def _start(v0: Tensor, space: VectorSpace) -> Float[Tensor, "D 1"]:
    """The sum of the columns of v0, checked."""
    if v0.ndim not in (1, 2) or v0.shape[0] != space.dim:
        raise ValueError(
            f"v0 must have shape (D,) or (D, j) with D = {space.dim}, got {tuple(v0.shape)}"
        )
    start = v0.reshape(space.dim, -1).sum(1, keepdim=True).to(space.dtype)
    length = space.norms(start).item()
    if not 0 < length < float("inf"):
        raise ValueError(f"v0 must be finite and its columns must not add up to zero, got {v0}")
    return start


def _check(k: int, which: str, tol: float, dim: int) -> None:
    if not 1 <= k <= dim:
        raise ValueError(f"k must lie between 1 and the dimension D = {dim}, got {k}")
    if which not in get_args(Which):
        raise ValueError(f"which must be one of {', '.join(get_args(Which))}, got {which!r}")
    if not 0 < tol < 1:
        raise ValueError(f"tol must lie in (0, 1), got {tol}")
