"""Vectors of a Lanczos run: how many are stored, how often they are streamed."""

from dataclasses import dataclass

SMALL_SUMS = 4
"""Results of few numbers that ranks agree on in a step: the product's length, its coefficients with
the vectors not yet multiplied; in one pass all coefficients, and the length that is left."""

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
    results : int
        Vectors at the end beside those in store: what is given back, and what it is checked by.
    """

    name: str
    products: int
    capacity: int
    kept: int = 0
    starts: int = 1
    results: int = 0

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
            size = min(size + 1, self.capacity)
        return self.starts * streamed

    def flops(self, dim: float) -> float:
        """Operations on vectors: two per entry read."""
        return 2 * dim * self.streamed()

    def small_sums(self) -> int:
        """How often ranks agree on at most m + 1 numbers."""
        return SMALL_SUMS * self.total_products


def eigsh(k: int = 10, products: int = 60, basis_size: int = 40) -> Run:
    """The k largest eigenvalues: up to ``basis_size`` + k vectors and two in work, half kept.

    At the end there are eigenvectors, their images, and both in another basis.
    """
    most = basis_size + k
    return Run(f"eigsh of {k}", products, most + 2, kept=most // 2, results=3 * k)


def density(probes: int = 10, steps: int = 80) -> Run:
    """A spectral density by Lanczos quadrature, probe after probe."""
    return Run(f"density {probes} × {steps}", steps, steps + 1, starts=probes)


def selective_density(steps: int = 80, converged: int = 10) -> Run:
    """Not built: one probe, each vector orthogonalised against the last two and what converged."""
    return Run(f"density 1 × {steps}, selective", steps, converged + 2)
