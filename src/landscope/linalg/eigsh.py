"""Eigenpairs at the ends of a spectrum: thick-restart Lanczos with true residuals."""

import warnings
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from landscope.linalg.ends import Which, by_preference, margins
from landscope.linalg.lanczos import KrylovSubspace
from landscope.linalg.missed import RARE_SHARE, Probe
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
        start = space.random(1, generator) if v0 is None else _start(v0, space, basis_size // 2)
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
        self._rounding = torch.finfo(product.space.dtype).eps
        self.largest = 0.0  # the largest magnitude of a Ritz value so far
        self.probe: Probe | None = None
        self.none_missed = False

    def run(self, start: Float[Tensor, "D j"]) -> Eigenpairs:
        """Iterate until the wanted pairs have converged and no copy of them is missed."""
        krylov = self._krylov(start)
        krylov.expand()
        self._project(krylov)
        self._iterate(krylov)
        pairs, agrees = self._recurred(krylov)
        pairs = pairs if agrees else self._refined(pairs)
        return replace(pairs, num_products=self.product.count)

    def _krylov(self, start: Float[Tensor, "D j"]) -> KrylovSubspace:
        krylov = KrylovSubspace(self.product, self.basis_size + self.k + 2)
        krylov.add(start)
        return krylov

    def _iterate(self, krylov: KrylovSubspace) -> None:
        """Expand until the wanted pairs have converged and none seems to be missed."""
        while not krylov.complete and self._affords(krylov):
            direction = self._direction(krylov)
            if direction is None:
                return
            if krylov.pending > 1:
                turned = krylov.turn(direction[:, None])
                if self.probe:
                    self.probe.turn(turned)
            if krylov.basis.size >= self.basis_size + self.k:
                self._restart(krylov)
            krylov.expand(1)
            if self.probe:
                self.probe.grow(krylov.basis.size)
            self._project(krylov)

    def _direction(self, krylov: KrylovSubspace) -> Float64[Tensor, " w"] | None:
        """Where in W to apply A next; None where nothing is left to do."""
        if krylov.size < self.k:
            if krylov.pending == 0:
                krylov.add(self._fresh())
            return torch.eye(krylov.pending, dtype=torch.float64)[0]
        unconverged = self.residuals > max(self.tol, self._rounding) * self.largest
        if not self.none_missed:
            direction = self._probing_direction(krylov, unconverged)
            if direction is not None:
                return direction
        unconverged[self.k :] = False
        return self._residual_direction(krylov, unconverged) if unconverged.any() else None

    def _residual_direction(
        self, krylov: KrylovSubspace, chosen: Bool[Tensor, " n"]
    ) -> Float64[Tensor, " w"]:
        """The direction in W that most of the residuals of chosen Ritz pairs have in common."""
        return torch.linalg.svd(krylov.coupling @ self.rotation[:, chosen]).U[:, 0]

    def _probing_direction(
        self, krylov: KrylovSubspace, unconverged: Bool[Tensor, " n"]
    ) -> Float64[Tensor, " w"] | None:
        """Where a missed copy could hide; None where none can, or it is too early to look."""
        if self.probe is None:
            found = margins(self.values, self.k, self.which, self.tol * self.largest)
            beyond = found.beyond(self.values)
            if unconverged[beyond].any():
                return None
            if not found.points:
                self.none_missed = not bool(unconverged[: self.k].any())
                return None
            before = krylov.basis.size
            krylov.add(self._fresh())
            if krylov.basis.size == before:
                self.none_missed = True
                return None
            weights = torch.zeros(len(found.points), krylov.basis.size, dtype=torch.float64)
            weights[:, -1] = 1
            self.probe = Probe(found, int(beyond.sum()), weights)
        beyond = self.probe.margins.beyond(self.values)
        if (beyond & unconverged).any():
            return self._residual_direction(krylov, beyond & unconverged)
        rest = self.values[~beyond], self.rotation[:, ~beyond]
        share, direction = self.probe.share(*rest, krylov.coupling @ rest[1])
        if share * self.product.space.dim > RARE_SHARE:
            return direction
        self.none_missed = int(beyond.sum()) == self.probe.num_beyond
        self.probe = None
        return None if self.none_missed else self._probing_direction(krylov, unconverged)

    def _restart(self, krylov: KrylovSubspace) -> None:
        """Keep the most wanted half of the Ritz vectors, and what of W they couple to."""
        num_kept = max(self.k, (self.basis_size + self.k) // 2 - krylov.pending)
        kept, dropped = self.rotation[:, :num_kept], self.rotation[:, num_kept:]
        if krylov.pending > num_kept:  # the rest of W does not couple to what is kept
            krylov.turn(torch.linalg.svd(krylov.coupling @ kept).U)
            self.probe = None
        if self.probe:
            self.probe.restart(kept, self.values[num_kept:], dropped, krylov.coupling @ dropped)
        krylov.restart(kept, num_pending=min(krylov.pending, num_kept))

    def _project(self, krylov: KrylovSubspace) -> None:
        values, rotation = torch.linalg.eigh(krylov.projected)
        order = by_preference(values, self.which)
        self.values, self.rotation = values[order], rotation[:, order]
        self.residuals = (krylov.coupling @ self.rotation).norm(dim=0)
        self.largest = max(self.largest, values.abs().max().item())

    def _recurred(self, krylov: KrylovSubspace) -> tuple[Eigenpairs, bool]:
        """The wanted pairs with residuals by AQ = [Q W]H; and whether a product agrees with it.

        The relation holds to rounding for a linear map. One product, with a combination Xc of the
        wanted Ritz vectors with random signs, tells by how much it fails for all of them: the
        expected square of the deviation is the sum of squares of theirs.
        """
        space = self.product.space
        chosen = torch.arange(self.k)
        if self.which == "BE":
            chosen = self.values[: self.k].argsort(descending=True)
        values, rotation = self.values[chosen], self.rotation[:, chosen]
        residuals = self.residuals[chosen]
        signs = torch.randint(0, 2, (self.k, 1), generator=self.generator).double() * 2 - 1
        expected = krylov.basis.combine(krylov.H @ rotation @ signs)
        krylov.restart(rotation, num_pending=0)
        deviation = space.norms(self.product(krylov.basis.combine(signs)) - expected).item()
        vectors = krylov.basis.block(0, self.k)
        vectors = vectors * space.signs(vectors)
        allowed = self.tol * self.largest
        converged = bool(residuals.max() <= allowed)
        pairs = Eigenpairs(values, vectors, residuals, converged, self.product.count)
        return pairs, self.tol >= 50 * self._rounding and deviation <= 0.1 * allowed

    def _refined(self, pairs: Eigenpairs) -> Eigenpairs:
        """The pairs with residuals by explicit products, and on from there while that helps."""
        best, images = self._explicit(pairs)
        while not best.converged:
            krylov = self._krylov(best.vectors)
            krylov.absorb(images)
            self._project(krylov)
            if not self._affords(krylov):
                break
            self._iterate(krylov)
            pairs, images = self._explicit(self._recurred(krylov)[0])
            stagnates = bool(pairs.residuals.max() > best.residuals.max() / 2)
            best = min(best, pairs, key=lambda found: found.residuals.max().item())
            if stagnates:
                break
        return best

    def _explicit(self, pairs: Eigenpairs) -> tuple[Eigenpairs, Float[Tensor, "D k"]]:
        images = self.product(pairs.vectors)
        return _ritz_pairs(
            self.product, pairs.vectors, images, self.k, self.which, self.tol, self.largest
        )

    def _affords(self, krylov: KrylovSubspace) -> bool:
        """Whether one more product leaves those that confirm the result."""
        return self.product.count + self.k + 2 <= self.max_products

    def _fresh(self) -> Float[Tensor, "D 1"]:
        space = self.product.space
        return space.random(1, self.generator) / space.dim**0.5


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


def _start(v0: Tensor, space: VectorSpace, most: int) -> Float[Tensor, "D j"]:
    """The columns of v0 with length one, checked."""
    if v0.ndim not in (1, 2) or v0.shape[0] != space.dim:
        raise ValueError(
            f"v0 must have shape (D,) or (D, j) with D = {space.dim}, got {tuple(v0.shape)}"
        )
    start = v0.reshape(space.dim, -1).to(space.dtype)
    if not 1 <= start.shape[1] <= most:
        raise ValueError(
            f"v0 must have 1 to {most} columns (half of basis_size), got {tuple(v0.shape)}"
        )
    lengths = space.norms(start)
    if not bool(((lengths > 0) & lengths.isfinite()).all()):
        raise ValueError(f"v0 must be finite with no column of zeros, got {v0}")
    return start / lengths.to(start)


def _check(k: int, which: str, tol: float, dim: int) -> None:
    if not 1 <= k <= dim:
        raise ValueError(f"k must lie between 1 and the dimension D = {dim}, got {k}")
    if which not in get_args(Which):
        raise ValueError(f"which must be one of {', '.join(get_args(Which))}, got {which!r}")
    if not 0 < tol < 1:
        raise ValueError(f"tol must lie in (0, 1), got {tol}")
