"""A machine of nodes with several GPUs each, by its public figures."""

from dataclasses import dataclass

GB, TB = 1e9, 1e12


@dataclass(frozen=True)
class Machine:
    """Rates of one GPU and of the links between them.

    Attributes
    ----------
    per_node : int
        GPUs in a node.
    memory : float
        Bytes of a GPU that a program can have.
    memory_rate : float
        Bytes per second between a GPU and its memory.
    flops : dict
        Operations per second in matrix products that are reached, by the format of the factors.
    inside, across : float
        Bytes per second that a ring of GPUs passes on: in a node, and from node to node.
    hop_inside, hop_across : float
        Seconds that a message takes from one GPU of the ring to the next.
    host_memory, disk : float
        Bytes of a node, shared by its GPUs.
    host_rate, disk_rate : float
        Bytes per second between one GPU and them.
    """

    name: str
    per_node: int
    memory: float
    memory_rate: float
    flops: dict[str, float]
    inside: float
    across: float
    hop_inside: float
    hop_across: float
    host_memory: float
    host_rate: float
    disk: float
    disk_rate: float

    def link(self, ranks: int) -> float:
        """Bytes per second of the slowest link of a ring."""
        return self.inside if ranks <= self.per_node else min(self.inside, self.across)

    def ring_latency(self, ranks: int) -> float:
        """Seconds of an empty message from the first of a ring through all others."""
        nodes = -(-ranks // self.per_node)
        return (ranks - nodes) * self.hop_inside + (nodes - 1) * self.hop_across

    def tree_latency(self, ranks: int) -> float:
        """Seconds of a sum of few numbers, up and down a tree."""
        inside, nodes = min(ranks, self.per_node), -(-ranks // self.per_node)
        levels = (inside - 1).bit_length(), (nodes - 1).bit_length()
        return 2 * (levels[0] * self.hop_inside + levels[1] * self.hop_across)


H100_NODES = Machine(
    name="nodes of 8 H100 SXM",
    per_node=8,
    memory=0.92 * 80 * GB,
    memory_rate=0.8 * 3.35 * TB,
    flops={"float32": 0.43 * 66.9e12, "bfloat16": 0.40 * 989.4e12},
    inside=0.8 * 450 * GB,
    across=8 * 46 * GB,
    hop_inside=2e-6,
    hop_across=8e-6,
    host_memory=0.8 * 2 * TB,
    host_rate=50 * GB,
    disk=0.8 * 30 * TB,
    disk_rate=3 * GB,
)
"""What is public of it, and the share of it that programs reach; sources in docs/scaling.md."""
