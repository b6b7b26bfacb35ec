"""A whole run on many GPUs: does it fit, how long does it take, and what takes longest."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.scaling.lanczos import Run
from benchmarks.scaling.products import Product, Sizes

STORAGE = ("device", "host", "disk")
"""Where a basis is kept, as for `eigsh`."""

IN_WORK = 4
"""Vectors of a basis on the GPU where it is kept elsewhere: in work, a chunk of each."""


def vectors_on_gpu(run: Run, storage: str) -> int:
    """Vectors of the basis, and those given back."""
    return (run.capacity if storage == "device" else IN_WORK) + run.results


@dataclass(frozen=True)
class Plan:
    """A run of products in one way.

    Attributes
    ----------
    sizes : Sizes
        What on what.
    product : Product
        One of its products.
    run : Run
        How many, and the vectors in store.
    storage : {"device", "host", "disk"}
        Where these are kept.
    """

    sizes: Sizes
    product: Product
    run: Run
    storage: str = "device"

    @property
    def basis(self) -> float:
        """Bytes of a rank's part of the basis."""
        return self.run.capacity * self.product.basis_vector

    @property
    def held(self) -> dict[str, float]:
        """Bytes of a GPU at least, by what they are for."""
        vectors = vectors_on_gpu(self.run, self.storage)
        return self.product.memory | {"basis": vectors * self.product.basis_vector}

    @property
    def on_gpu(self) -> float:
        """Bytes of a GPU at least."""
        return sum(self.held.values())

    @property
    def fits(self) -> bool:
        """Whether GPU, host memory and disk hold it."""
        machine = self.sizes.machine
        room = {"device": machine.memory, "host": machine.host_memory, "disk": machine.disk}
        stored = 0.0 if self.storage == "device" else self.basis * machine.per_node
        return self.on_gpu <= machine.memory and stored <= room[self.storage]

    @property
    def orthogonalisation(self) -> float:
        """Seconds of Gram–Schmidt: the basis goes by as often as it is streamed."""
        machine = self.sizes.machine
        rates = {
            "device": machine.memory_rate,
            "host": machine.host_rate,
            "disk": machine.disk_rate,
        }
        return self.run.streamed() * self.product.basis_vector / rates[self.storage]

    @property
    def small_sums(self) -> float:
        """Seconds of what ranks agree on, a few numbers at a time: latency alone."""
        sizes, run = self.sizes, self.run
        count = run.small_sums() + run.total_products * self.product.agreements
        return count * sizes.machine.tree_latency(sizes.ranks)

    @property
    def terms(self) -> dict[str, float]:
        """Seconds by what they are for; collectives that overlap count for what sticks out."""
        product, sizes, count = self.product, self.sizes, self.run.total_products
        step = product.step.seconds(sizes.machine, sizes.ranks)
        return {
            "arithmetic": count * product.arithmetic,
            "collectives": count * (product.exposed + step),
            "vectors": count * product.vectors,
            "orthogonalisation": self.orthogonalisation,
            "small sums": self.small_sums,
        }

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return sum(self.terms.values())

    @property
    def bottleneck(self) -> str:
        """What takes longest."""
        return max(self.terms, key=self.terms.__getitem__)

    @property
    def most_held(self) -> str:
        """What takes most of a GPU's memory."""
        return max(self.held, key=self.held.__getitem__)


def plan(
    way: Callable[[Sizes, int], Product], sizes: Sizes, run: Run, storage: str = "device"
) -> Plan:
    """Lay out a run; the product takes what memory the basis leaves."""
    return Plan(sizes, way(sizes, vectors_on_gpu(run, storage)), run, storage)
