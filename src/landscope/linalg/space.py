"""The vector space in which an operator acts, as the algorithms of linalg see it.

They touch vectors only through a space (random vectors, inner products, signs) and a basis that
it stores (append, project, combine), so that one Lanczos iteration serves vectors in one memory
as well as vectors that are kept elsewhere or spread over several processes. Blocks are tensors of
shape (D, b), whatever part of D is held here; inner products and coefficients are float64 matrices
on the CPU, the same everywhere.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from landscope.identity import tensor_digest
from landscope.linalg.gaussian_vectors import gaussian_rows

ENTRIES_PER_CHUNK = 16_384  # entries of each vector worked on at a time: they stay in the cache
ENTRIES_PER_SUM = 8_192  # entries summed in float32 before the sums go on in float64


@runtime_checkable
class Basis(Protocol):
    """Vectors in store, q₁ … q_n, one after the other."""

    size: int

    def append(self, vector: Float[Tensor, " D"]) -> None:
        """Store one more vector."""

    def block(self, start: int, stop: int) -> Float[Tensor, "D b"]:
        """Give the vectors q_start … q_{stop-1} where products are computed."""

    def gram(self, block: Float[Tensor, "D b"]) -> Float64[Tensor, "n b"]:
        """Inner products QᵀX with a block."""

    def project(
        self, block: Float[Tensor, "D b"]
    ) -> tuple[Float64[Tensor, "n b"], Float64[Tensor, " b"]]:
        """The same, and the length of each vector of the block, by one sum over processes."""

    def combine(self, coefficients: Float64[Tensor, "n b"]) -> Float[Tensor, "D b"]:
        """Linear combinations QC."""

    def rotate(self, coefficients: Float64[Tensor, "n p"], start: int = 0) -> None:
        """Replace the vectors from q_start on by their combinations: Q ← QC."""


@runtime_checkable
class VectorSpace(Protocol):
    """A real vector space of dimension ``dim`` with an inner product.

    ``local_dim`` is the number of entries of each vector that are held here: ``dim`` but where
    vectors are spread over processes.
    """

    dim: int
    local_dim: int
    dtype: torch.dtype

    def random(self, count: int, generator: torch.Generator) -> Float[Tensor, "D b"]:
        """Independent standard Gaussian vectors."""

    def identity(self) -> Float[Tensor, "D D"]:
        """The coordinate vectors as one block; asked for only where ``dim`` is small."""

    def gram(
        self, left: Float[Tensor, "D a"], right: Float[Tensor, "D b"]
    ) -> Float64[Tensor, "a b"]:
        """Inner products XᵀY."""

    def norms(self, block: Float[Tensor, "D b"]) -> Float64[Tensor, " b"]:
        """Length of each vector."""

    def signs(self, block: Float[Tensor, "D b"]) -> Float[Tensor, " b"]:
        """Sign of the entry of largest magnitude of each vector, ±1."""

    def extremes(self, block: Float[Tensor, "D b"]) -> Float64[Tensor, " b"]:
        """The entry of largest magnitude of each vector, the first one of several."""

    def basis(self, capacity: int) -> Basis:
        """Room for ``capacity`` vectors."""

    def all_finite(self, block: Float[Tensor, "D b"]) -> bool:
        """Whether no entry is NaN or infinite."""

    def digest(self, block: Shaped[Tensor, "D *b"]) -> str:
        """A short fingerprint of some vectors, to compare arguments by."""


class DenseSpace:
    """R^D in the memory of one device.

    Everything works on the ``local_dim`` entries of a vector that are held here. Where processes
    compute together, what they take for an inner product is up to `agreed`, and how a basis keeps a
    vector to `kept`.

    Inner products of float32 vectors accumulate in float64 on a CPU (a float32 norm is off by
    4e-5 at D = 2.4 M), in float32 elsewhere.

    Parameters
    ----------
    dim : int
        Dimension D.
    dtype : torch.dtype
        Type of the vectors.
    device : torch.device or str
        Where they lie.
    """

    def __init__(self, dim: int, dtype: torch.dtype, device: torch.device | str = "cpu"):
        self.dim = self.local_dim = dim
        self.dtype = dtype
        self.device = torch.device(device)
        self.ranges = [(0, dim)]  # which entries of a vector are held here: from … up to
        self.store: Callable[[DenseSpace, int], Basis] = DenseBasis

    def agreed(self, small: Float64[Tensor, "*n"]) -> Float64[Tensor, "*n"]:
        """What all processes take for a small result of what each of them holds."""
        return small

    def kept(self, vector: Float[Tensor, " D"]) -> Float[Tensor, " D"]:
        """A vector as a basis keeps it."""
        return vector

    def random(self, count: int, generator: torch.Generator) -> Float[Tensor, "D b"]:
        """Independent standard Gaussian vectors, the same on every device."""
        rows = gaussian_rows(count, self.dim, self.ranges, generator, self.dtype)
        return rows.to(self.device).T

    def identity(self) -> Float[Tensor, "D D"]:
        """The coordinate vectors."""
        return torch.eye(self.dim, dtype=self.dtype, device=self.device)

    def gram(
        self, left: Float[Tensor, "D a"], right: Float[Tensor, "D b"]
    ) -> Float64[Tensor, "a b"]:
        """Inner products XᵀY, accumulated in float64 on a CPU."""
        if left.device.type != "cpu" or left.dtype == torch.float64:
            return self.agreed((left.T @ right).cpu().double())
        total = torch.zeros(left.shape[1], right.shape[1], dtype=torch.float64)
        for start in range(0, self.local_dim, ENTRIES_PER_CHUNK):
            entries = slice(start, start + ENTRIES_PER_CHUNK)
            total += left[entries].T.double() @ right[entries].double()
        return self.agreed(total)

    def norms(self, block: Float[Tensor, "D b"]) -> Float64[Tensor, " b"]:
        """Length of each vector, accumulated in float64 on a CPU."""
        return self.agreed(self.squares(block)).sqrt()

    def squares(self, block: Float[Tensor, "D b"]) -> Float64[Tensor, " b"]:
        """Squared length of what is held here of each vector."""
        dtype = torch.float64 if block.device.type == "cpu" else None
        return torch.linalg.vector_norm(block, dim=0, dtype=dtype).cpu().double().square()

    def signs(self, block: Float[Tensor, "D b"]) -> Float[Tensor, " b"]:
        """Sign of the entry of largest magnitude of each vector, ±1."""
        return torch.where(self.extremes(block) < 0, -1.0, 1.0).to(block)

    def extremes(self, block: Float[Tensor, "D b"]) -> Float64[Tensor, " b"]:
        """The entry of largest magnitude of each vector, the first one of several."""
        largest = block.gather(0, block.abs().argmax(0, keepdim=True))[0]
        return self.agreed(largest.cpu().double())

    def basis(self, capacity: int) -> Basis:
        """Room for ``capacity`` vectors."""
        return self.store(self, capacity)

    def all_finite(self, block: Float[Tensor, "D b"]) -> bool:
        """Whether no entry is NaN or infinite."""
        return bool(torch.isfinite(block).all())

    def digest(self, block: Shaped[Tensor, "D *b"]) -> str:
        """A short fingerprint of some vectors, to compare arguments by."""
        return tensor_digest(block)


def inner_products(
    rows: Float[Tensor, "n D"], block: Float[Tensor, "D b"]
) -> Float64[Tensor, "n b"]:
    """Inner products of vectors stored by rows with a block.

    On a CPU float32 sums of 8192 entries are added up in float64: full conversion takes ten times
    as long, and what is off by 1e-9 here does no harm to the orthogonality of float32 vectors.
    """
    if rows.device.type != "cpu" or rows.dtype == torch.float64:
        return (rows @ block).cpu().double()
    total = torch.zeros(len(rows), block.shape[1], dtype=torch.float64)
    for start in range(0, len(block), ENTRIES_PER_SUM):
        entries = slice(start, start + ENTRIES_PER_SUM)
        total += (rows[:, entries] @ block[entries]).double()
    return total


class StoredBasis:
    """What a basis tells of a block, from the inner products of what is held here."""

    space: DenseSpace
    size: int

    def gram(self, block: Float[Tensor, "D b"]) -> Float64[Tensor, "n b"]:
        """Inner products QᵀX, in float64 but for short float32 sums."""
        return self.space.agreed(self._products(block))

    def project(
        self, block: Float[Tensor, "D b"]
    ) -> tuple[Float64[Tensor, "n b"], Float64[Tensor, " b"]]:
        """The same, and the length of each vector of the block, by one sum over processes."""
        both = torch.cat([self._products(block), self.space.squares(block)[None]])
        both = self.space.agreed(both)
        return both[:-1], both[-1].sqrt()

    def _products(self, block: Float[Tensor, "D b"]) -> Float64[Tensor, "n b"]:
        raise NotImplementedError


class DenseBasis(StoredBasis):
    """Vectors of a DenseSpace, each contiguous in one buffer."""

    def __init__(self, space: DenseSpace, capacity: int):
        self.space = space
        self.size = 0
        self._rows = torch.empty(capacity, space.local_dim, dtype=space.dtype, device=space.device)

    def append(self, vector: Float[Tensor, " D"]) -> None:
        """Store one more vector."""
        self._rows[self.size] = self.space.kept(vector)
        self.size += 1

    def block(self, start: int, stop: int) -> Float[Tensor, "D b"]:
        """Give the vectors q_start … q_{stop-1}, without a copy."""
        return self._rows[start:stop].T

    def combine(self, coefficients: Float64[Tensor, "n b"]) -> Float[Tensor, "D b"]:
        """Linear combinations QC."""
        return self.block(0, self.size) @ coefficients.to(self._rows)

    def rotate(self, coefficients: Float64[Tensor, "n p"], start: int = 0) -> None:
        """Replace the vectors from q_start on by their combinations, without a second buffer."""
        transform = coefficients.T.to(self._rows)
        rows = self._rows[start : self.size]
        for first in range(0, self.space.local_dim, ENTRIES_PER_CHUNK):
            entries = slice(first, first + ENTRIES_PER_CHUNK)
            rows[: len(transform), entries] = transform @ rows[:, entries]
        self.size = start + len(transform)

    def _products(self, block: Float[Tensor, "D b"]) -> Float64[Tensor, "n b"]:
        return inner_products(self._rows[: self.size], block)


def space_of(A: Any) -> VectorSpace:
    """The space that an operator names as its ``space``; dense vectors where it names none."""
    space: VectorSpace | None = getattr(A, "space", None)
    return DenseSpace(A.shape[0], A.dtype, A.device) if space is None else space


def orthogonalise(
    vector: Float[Tensor, " D"],
    basis: Basis,
    space: VectorSpace,
    negligible: float,
    expected: Float64[Tensor, " m"] | None = None,
) -> tuple[Float[Tensor, " D"], Float64[Tensor, " n"], float]:
    """Take out of a vector what lies in the span of a basis.

    Gram–Schmidt, again while the norm still falls: what is left after a cancellation is orthogonal
    to working precision only after another pass. A pass streams the whole basis twice, which is
    what Lanczos spends its time on beside the products; so what is known of the coefficients is
    taken out first, and one pass then finds only rounding errors.

    Parameters
    ----------
    vector : Tensor of shape (D,)
        The vector x.
    basis : Basis
        Orthonormal vectors Q.
    space : VectorSpace
        Their space.
    negligible : float
        A remainder of at most this norm counts as none.
    expected : Tensor of shape (m,), optional
        The first m coefficients, as far as they are known.

    Returns
    -------
    remainder : Tensor of shape (D,)
        x − Qc.
    coefficients : Tensor of shape (n,)
        c.
    norm : float
        ‖x − Qc‖, 0 where it is negligible.
    """
    column = vector[:, None]
    coefficients = torch.zeros(basis.size, dtype=torch.float64)
    if expected is not None:
        near = basis.block(len(expected), basis.size)
        coefficients = torch.cat([expected, space.gram(near, column)[:, 0]])
        coefficients[coefficients.abs() <= negligible] = 0
        column = column - _combine(basis, coefficients)
    for _ in range(5):
        step, lengths = basis.project(column)
        change = basis.combine(step)
        column = torch.sub(column, change, out=change)
        coefficients += step[:, 0]
        before, norm = lengths.item(), space.norms(column).item()
        if norm <= negligible:
            return column[:, 0], coefficients, 0.0
        if norm > 0.7 * before:
            break
    return column[:, 0], coefficients, norm


def _combine(basis: Basis, coefficients: Float64[Tensor, " n"]) -> Float[Tensor, "D 1"]:
    """Qc, by a few neighbours where all other coefficients are zero, as in a Lanczos step."""
    nonzero = coefficients.nonzero()[:, 0].tolist() or [0]
    first, end = nonzero[0], nonzero[-1] + 1
    if end - first > 8:
        return basis.combine(coefficients[:, None])
    vectors = basis.block(first, end)
    return vectors @ coefficients[first:end, None].to(vectors)
