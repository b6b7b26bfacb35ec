"""Vectors of a Lanczos run: how many are stored, how often they are streamed."""

from dataclasses import dataclass

SMALL_SUMS = 5
"""Sums of a few numbers over ranks in a step: the product's length, the coefficients with the last
vector, the length without it, then of one pass the coefficients with all and the length."""

LOCAL_PASSES = 8
"""Vectors read or written in a step beside the basis: two differences, three lengths."""


@dataclass(frozen=True)
class Run:
    """A Lanczos run with full orthogonalisation.

    Attributes
    ----------
    products : int
        With one start vector.
    capacity : int
        m, the most vectors in store.
    kept : int
        Vectors that a restart keeps of those in store; 0 where there is none.
    starts : int
        Runs one after the other, each from its own vector.
    """

    name: str
    products: int
    capacity: int
    kept: int = 0
    starts: int = 1

    @property
    def total_products(self) -> int:
        """Products of all runs."""
        return self.products * self.starts

    def streamed(self) -> int:
        """Vectors of the basis read or written by all runs.

        A pass of Gram–Schmidt reads the basis twice: for the coefficients QᵀAq, and for their
        combination. One suffices, since what is known of the coefficients is taken out first. A
        restart reads all vectors and writes those that it keeps.
        """
        size, streamed = 1, 0
        for _ in range(self.products):
            if self.kept and size >= self.capacity - 2:
                streamed += size + self.kept
                size = self.kept
            streamed += 2 * size + LOCAL_PASSES
            size += 1
        return self.starts * streamed

    def flops(self, dim: float) -> float:
        """Operations on vectors: two per entry read."""
        return 2 * dim * self.streamed()

    def small_sums(self) -> int:
        """Sums of at most m numbers over ranks."""
        return SMALL_SUMS * self.total_products


def eigsh(k: int = 10, products: int = 60, basis_size: int = 40) -> Run:
    """The k largest eigenvalues: up to ``basis_size`` + k vectors, half of them kept, two in work."""
    return Run(f"eigsh of {k}", products, basis_size + k + 2, (basis_size + k) // 2)


def density(probes: int = 10, steps: int = 80) -> Run:
    """A spectral density by Lanczos quadrature, probe after probe."""
    return Run(f"density {probes} × {steps}", steps, steps + 1, starts=probes)
