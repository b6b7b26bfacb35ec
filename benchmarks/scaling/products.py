"""A product with the Hessian on many ranks: what a rank holds for it, and where its time goes.

Each way is a function of the same sizes and gives the same terms, so that the tables can put them
side by side: bytes per rank, and seconds per product.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.scaling.collectives import (
    NOTHING,
    Traffic,
    all_gather,
    all_reduce,
    broadcast,
    reduce_scatter,
)
from benchmarks.scaling.machine import Machine
from benchmarks.scaling.transformer import Transformer
from landscope.products.batch_sum import COPIES

FORWARD, GRADIENT = 1, 3
"""Arithmetic in passes forward: a gradient takes one, and backward two products for each matrix."""

TANGENT_FORWARD = 3
"""Forward with its tangent, which has two products for each."""

EXACT, EXACT_RECOMPUTED = 6, 8
"""An exact product with the primal pass kept: a tangent has two products for each forward, and four
backward. Recomputed, the primal pass takes one forward and one backward more."""

KEPT = 2
"""Memory of a primal pass that is kept, in activations of the pass forward."""

WEIGHTS = 2
"""Copies of the weights: in the module, and as the flat vector that is differentiated."""

VECTORS_IN_WORK = 4
"""Whole vectors in a product beside v: its parts, the same laid out flat, the vector that joins
them, and the sum so far; later the summand, the collective's buffer and the result."""

PARTS_IN_WORK = 3
"""Parts of vectors at a time: what comes from and goes to collectives, and Gram–Schmidt's."""

BLOCKS_GATHERED = 3
"""Of weights: in use, arriving, and being copied from one to the other; of gradients likewise."""

VECTORS_PER_PIECE = 5
"""Vectors read or written for a piece of the data: its parts are joined, and added to the sum."""

SHARDED_VECTORS = 11
"""Parts of vectors in a difference beside the model's and v: the problem's point and the
operator's, the shift, both shifted points, the weights as they were; a gradient as FSDP has it,
times its divisor, and joined; their sum; the gradient ahead."""


@dataclass(frozen=True)
class Sizes:
    """What is measured, and on what.

    Attributes
    ----------
    model : Transformer
        With D parameters.
    machine : Machine
        Where.
    ranks : int
        R.
    sequences : int
        Of all data; a rank has B = ⌈sequences/R⌉.
    length : int
        T, tokens of a sequence.
    factors : str
        Format of the factors of matrix products; sums and vectors are float32.
    """

    model: Transformer
    machine: Machine
    ranks: int
    sequences: int = 4096
    length: int = 512
    factors: str = "float32"

    @property
    def sequences_per_rank(self) -> int:
        """B."""
        return -(-self.sequences // self.ranks)

    @property
    def vector(self) -> float:
        """Bytes of a vector, bD."""
        return 4.0 * self.model.num_params

    @property
    def shard(self) -> float:
        """Bytes of a rank's part of a vector, b⌈D/R⌉."""
        return 4.0 * -(-self.model.num_params // self.ranks)

    @property
    def factor_bytes(self) -> int:
        """Bytes of a weight, or an activation, in a matrix product."""
        return {"float32": 4, "bfloat16": 2}[self.factors]

    def pass_seconds(self, passes: float) -> float:
        """Seconds of arithmetic worth so many passes forward over a rank's data."""
        tokens = self.sequences_per_rank * self.length
        flops = self.model.forward_flops(tokens, self.length)
        return passes * flops / self.machine.flops[self.factors]

    def activations(self, sequences: float) -> float:
        """Bytes of all activations of a pass forward."""
        return self.factor_bytes * self.model.activations(sequences * self.length, self.length)


@dataclass(frozen=True)
class Product:
    """One product on one rank.

    Attributes
    ----------
    memory : dict
        Bytes at least, by what they are for, the basis left out: with one sequence at a time, and
        nothing kept that can be recomputed.
    basis_vector : float
        Bytes of one vector of a Krylov basis.
    arithmetic, vectors, collectives : float
        Seconds of matrix products, of reading and writing vectors, of collectives.
    traffic : Traffic
        The collectives of a product.
    step : Traffic
        Those of whole vectors in a step of Lanczos.
    agreements : float
        How often ranks tell each other that they are well, beside the product's collectives.
    overlaps : bool
        Whether the product's collectives run while its matrix products do.
    """

    memory: dict[str, float]
    basis_vector: float
    arithmetic: float
    vectors: float
    collectives: float
    traffic: Traffic
    step: Traffic = NOTHING
    agreements: float = 0.0
    overlaps: bool = False

    @property
    def exposed(self) -> float:
        """Seconds of collectives that no matrix products hide."""
        return max(self.collectives - self.arithmetic, 0.0) if self.overlaps else self.collectives

    @property
    def seconds(self) -> float:
        """Of one product."""
        return self.arithmetic + self.vectors + self.exposed


def summed(vector: float, ranks: int) -> Traffic:
    """One all-reduce of D + 1 numbers: the product, and how many ranks failed."""
    return all_reduce(vector + 4, ranks)


def cut(shard: float, ranks: int) -> Traffic:
    """One all-gather of v, one reduce-scatter of Hv with one number more for each rank."""
    return all_gather(ranks * shard, ranks) + reduce_scatter(ranks * (shard + 4), ranks)


def gathered(
    weights: float, sums: float, ranks: int, *, layers: int, gathers: int, sweeps: int
) -> Traffic:
    """Layer by layer in each sweep over a piece of the data: weights gathered, a sum scattered."""
    once = gathers * all_gather(weights, ranks) + reduce_scatter(sums, ranks)
    return sweeps * once.in_messages(layers)


def replicated(sizes: Sizes, basis: int = 0) -> Product:
    """Exact products of each rank's data; weights, vectors and basis whole everywhere.

    A vector that joins the basis is rank 0's, one broadcast: rounding cannot part the ranks.
    """
    traffic = summed(sizes.vector, sizes.ranks)
    work = VECTORS_IN_WORK * sizes.vector
    step = broadcast(sizes.vector, sizes.ranks)
    return _whole(sizes, work, sizes.vector, basis, traffic, step)


def sharded(sizes: Sizes, basis: int = 0) -> Product:
    """Exact products of each rank's data with vectors of which each rank holds ⌈D/R⌉ entries."""
    traffic = cut(sizes.shard, sizes.ranks)
    work = (1 + VECTORS_IN_WORK) * sizes.vector + PARTS_IN_WORK * sizes.shard
    return _whole(sizes, work, sizes.shard, basis, traffic, NOTHING)


def differences(sizes: Sizes, basis: int = 0) -> Product:
    """Differences of two gradients under fully sharded data parallelism: nothing of D is whole.

    Each piece of the data gathers the weights forward and again backward, and scatters the sum of
    its gradient; before each exchange all ranks agree that none has failed.
    """
    return _gathered(
        sizes,
        basis,
        shards=SHARDED_VECTORS,
        unit=max(sizes.model.embedding, sizes.model.block),
        buffers=sizes.factor_bytes + 4,
        activations=1,
        gathers=2,
        sweeps=2,
        passes=2 * (GRADIENT + FORWARD),
    )


def exact_by_layer(sizes: Sizes, basis: int = 0) -> Product:
    """Not built: exact products with weights and v gathered matrix by matrix.

    Each piece gathers both forward and again backward, and scatters its product; the embedding and
    the head in parts no larger than a block's matrices. Primal pass and tangent go side by side, so
    that twice the activations are at rest.
    """
    return _gathered(
        sizes,
        basis,
        shards=PARTS_IN_WORK,
        unit=sizes.model.width * sizes.model.hidden,
        buffers=2 * sizes.factor_bytes + 4,
        activations=2,
        gathers=4,
        sweeps=1,
        passes=EXACT_RECOMPUTED + TANGENT_FORWARD,
    )


WAYS: dict[str, Callable[[Sizes, int], Product]] = {
    "replicated": replicated,
    "sharded": sharded,
    "differences": differences,
}
"""What is built; the second argument is the number of vectors that the basis keeps on the GPU."""


def _whole(
    sizes: Sizes, work: float, basis_vector: float, basis: int, traffic: Traffic, step: Traffic
) -> Product:
    """Products that need all weights on each rank, one sequence at a time.

    The primal pass of as many sequences is kept as there is room for.
    """
    held = {
        "weights": WEIGHTS * sizes.vector,
        "vectors": work,
        "activations": COPIES * sizes.activations(1),
    }
    B = sizes.sequences_per_rank
    room = sizes.machine.memory - sum(held.values()) - basis * basis_vector
    kept = min(max(room, 0.0), KEPT * sizes.activations(B))
    share = kept / (KEPT * sizes.activations(B))
    streamed = VECTORS_PER_PIECE * B * sizes.vector
    return Product(
        memory=held,
        basis_vector=basis_vector,
        arithmetic=sizes.pass_seconds(share * EXACT + (1 - share) * EXACT_RECOMPUTED),
        vectors=streamed / sizes.machine.memory_rate,
        collectives=traffic.seconds(sizes.machine, sizes.ranks),
        traffic=traffic,
        step=step,
    )


def _gathered(
    sizes: Sizes,
    basis: int,
    *,
    shards: int,
    unit: int,
    buffers: int,
    activations: int,
    gathers: int,
    sweeps: int,
    passes: int,
) -> Product:
    """Products whose weights are whole one unit at a time, while the next one is gathered.

    A piece is as many sequences as there is room for; activations are recomputed backward from the
    input of each block.
    """
    model = sizes.model
    held = {
        "weights": sizes.shard,
        "vectors": shards * sizes.shard,
        "layers": BLOCKS_GATHERED * buffers * float(unit),
    }
    one = activations * sizes.factor_bytes * float(model.checkpointed(sizes.length))
    room = sizes.machine.memory - sum(held.values()) - basis * sizes.shard
    together = max(1, min(sizes.sequences_per_rank, math.floor(room / one)))
    pieces = sweeps * math.ceil(sizes.sequences_per_rank / together)
    traffic = gathered(
        sizes.factor_bytes * float(model.num_params),
        sizes.vector,
        sizes.ranks,
        layers=model.layers + 1,
        gathers=gathers,
        sweeps=pieces,
    )
    return Product(
        memory=held | {"activations": one},
        basis_vector=sizes.shard,
        arithmetic=sizes.pass_seconds(passes),
        vectors=VECTORS_PER_PIECE * pieces * sizes.shard / sizes.machine.memory_rate,
        collectives=traffic.seconds(sizes.machine, sizes.ranks),
        traffic=traffic,
        agreements=traffic.calls + sweeps,
        overlaps=True,
    )
