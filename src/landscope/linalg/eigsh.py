"""Eigenpairs at the ends of a spectrum: thick-restart Lanczos with checked residuals."""

import warnings
from pathlib import Path
from typing import Any, cast, get_args

from jaxtyping import Float
from torch import Tensor

from landscope import arguments as check
from landscope.linalg.checkpoint import Checkpoint, named_operator
from landscope.linalg.eigenpairs import Eigenpairs, rayleigh_ritz
from landscope.linalg.ends import Which
from landscope.linalg.normalised_product import NormalisedProduct
from landscope.linalg.space import VectorSpace, space_of
from landscope.linalg.thick_restart import ThickRestart


class ConvergenceWarning(UserWarning):
    """An iteration stopped before it reached the tolerance that was asked for."""


def eigsh(
    A: Any,
    k: int,
    which: str = "LA",
    tol: float = 1e-4,
    seed: int = 0,
    max_products: int | None = None,
    v0: Float[Tensor, " D"] | Float[Tensor, "D j"] | None = None,
    basis_size: int | None = None,
    coarse: Any = None,
    storage: str | Path = "device",
    checkpoint: str | Path | Checkpoint | None = None,
    isolate: bool = False,
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
        Where to start, such as the eigenvectors at nearby weights, at most ``basis_size`` / 2 of
        them. Columns that have almost converged are multiplied one by one, others added up.
    basis_size : int, optional
        Most vectors of size D that the Krylov basis holds before it is restarted (up to k more
        are in work), at least 2k + 1; by default max(40, 3k). If D is no larger, the matrix is
        built by D products and diagonalised.
    coarse : operator of shape (D, D), optional
        A cheaper operator near A, such as the Hessian on a part of the data: its eigenvectors
        take the place of ``v0``. Its products are not counted.
    storage : {"device", "host", "disk"} or Path
        Where the Krylov basis is kept: with A, in host memory, in a temporary file, or in one in
        the folder that is named. On disk about ten vectors of size D stay in memory, and the
        eigenvectors that are returned.
    checkpoint : str, Path or Checkpoint, optional
        A file that keeps the state of the iteration, for at most a twentieth of the time. If it
        exists, the iteration goes on from there, after one product that compares A; at the end it
        is removed. Where vectors are spread over processes it is a folder, from which another
        number of them can go on. As a `Checkpoint` it is the caller's, who compared the arguments
        and removes it.
    isolate : bool
        Whether copies of the last wanted eigenvalue are ruled out as well, where it stands clear of
        the next, and with 99.99 % confidence: ``rest`` then tells how far it is from all others, on
        which the errors of eigenvectors depend.

    Returns
    -------
    Eigenpairs
        ``.values .vectors .residuals .converged .num_products .rest``.

    Raises
    ------
    ValueError, TypeError
        If an argument cannot be used.
    FloatingPointError
        If a product contains NaN or infinity.

    Warns
    -----
    ConvergenceWarning
        If the products ran out before the residuals were small or missed copies were ruled out, or
        rounding kept the residuals above the tolerance; the best pairs found are returned with
        ``converged`` false.

    Notes
    -----
    Thick-restart Lanczos [1]_ from one random vector, every new vector orthogonalised against the
    whole basis, the projected matrix kept in float64. A Krylov space from one vector holds one
    direction of each eigenspace, so once the wanted values that stand clear have converged, a
    random vector is added, and A is applied where a missed copy could hide until at most a
    share of it is left that a random vector has with probability 1 % (``missed.Probe``, typically
    4 to 7 products); if copies came up, another vector is added. The same basis serves all of it.
    Where the last wanted values lie in a dense bulk, a loose tolerance may end at neighbours a few
    tol·|λ|max away from them, as with any Lanczos method.

    Residuals come from AQ = [Q W]H, which holds to rounding, and one product with a random
    combination of the eigenvectors tells whether it does. Where it does not, or the tolerance is
    near rounding, k explicit products give the residuals, and the iteration goes on where
    they are still above the tolerance.

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
    product = NormalisedProduct(A, storage)
    space = product.space
    k, tol, seed = checked_search(k, space.dim, tol, seed)
    which = cast(Which, check.choice("which", which, get_args(Which)))
    if coarse is not None and v0 is not None:
        raise ValueError("v0 and coarse both say where to start: give one of them")
    basis_size = max(40, 3 * k) if basis_size is None else basis_size
    basis_size = check.whole("basis_size", basis_size, 2 * k + 1)
    max_products = 100 * basis_size if max_products is None else max_products
    max_products = check.whole("max_products", max_products, min(2 * k + 1, space.dim))
    start = None if v0 is None else _start(v0, space, basis_size // 2)
    search: ThickRestart | None = None
    if space.dim <= min(basis_size, max_products):
        identity = space.identity()
        pairs, _ = rayleigh_ritz(product, identity, product(identity), k, which, tol)
    else:
        arguments = {"algorithm": "eigsh", "D": space.dim, "dtype": str(space.dtype)}
        arguments |= {"k": k, "which": which, "tol": tol, "seed": seed}
        arguments |= {"v0": None if v0 is None else space.digest(v0)}
        arguments |= {"basis_size": basis_size, "max_products": max_products, "isolate": isolate}
        if checkpoint is not None:
            arguments |= named_operator(A)
        file = (
            Checkpoint(checkpoint, arguments, space)
            if isinstance(checkpoint, str | Path)
            else checkpoint
        )
        if coarse is not None and not (file and file.unrestored):
            start = _coarse_vectors(coarse, A, k, which, tol, seed)
        search = ThickRestart(product, k, which, tol, basis_size, max_products, seed, file, isolate)
        pairs = search.run(start)
        if file and file is not checkpoint:
            file.remove()
    pairs = pairs.scaled(product.unit)
    if not pairs.converged:
        spent = f"after {product.count} products in {A.dtype} (max_products = {max_products})"
        reached = search is not None and search.reached(pairs.residuals / product.unit)
        warnings.warn(
            f"eigsh: residuals are at most tol·|λ|max for tol = {tol:g}, but it was not ruled "
            f"out that other eigenvalues were missed {spent}"
            if reached
            else f"eigsh: residuals up to {pairs.residuals.max():.1e} stay above tol·|λ|max for "
            f"tol = {tol:g} {spent}",
            ConvergenceWarning,
            stacklevel=2,
        )
    return pairs


def _start(v0: Tensor, space: VectorSpace, most: int) -> Float[Tensor, "D j"]:
    """The columns of v0 with length one, checked."""
    if not isinstance(v0, Tensor) or v0.ndim not in (1, 2) or len(v0) != space.local_dim:
        raise ValueError(
            f"v0 is {check.shown(v0)}; it must be a tensor of shape (D,) or (D, j) with D = "
            f"{space.local_dim}"
        )
    start = v0.reshape(space.local_dim, -1).to(space.dtype)
    if not 1 <= start.shape[1] <= most:
        raise ValueError(
            f"v0 must have 1 to {most} columns (half of basis_size), got {tuple(v0.shape)}"
        )
    lengths = space.norms(start)
    if not bool(((lengths > 0) & lengths.isfinite()).all()):
        raise ValueError("v0 has NaN, infinity or a column of zeros; give each column a length")
    return start / lengths.to(start)


def _coarse_vectors(
    coarse: Any, A: Any, k: int, which: Which, tol: float, seed: int
) -> Float[Tensor, "D k"]:
    """Eigenvectors of a cheaper operator near A."""
    for name in ("shape", "dtype", "device"):
        if getattr(coarse, name, None) != getattr(A, name):
            raise ValueError(
                f"coarse must have A's {name}, {getattr(A, name)}, "
                f"got {getattr(coarse, name, None)}"
            )
    held = space_of(coarse).local_dim, space_of(A).local_dim
    if held[0] != held[1]:
        raise ValueError(
            f"coarse must act on vectors that are spread over processes as A's are, {held[1]} "
            f"entries here, got {held[0]}"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return eigsh(coarse, k, which, tol, seed).vectors


def checked_search(
    k: int, most: int, tol: float, seed: int, called: str = "D"
) -> tuple[int, float, int]:
    """A number of eigenpairs, a tolerance and a seed; refuse what is none."""
    return check.whole("k", k, 1, most, called), check.real("tol", tol, "(0, 1)"), check.seed(seed)
