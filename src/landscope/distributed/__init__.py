"""Processes that measure together, by torch.distributed."""

from landscope.distributed.ranks import RankError, Ranks
from landscope.distributed.shards import Shard, Shards

__all__ = ["RankError", "Ranks", "Shard", "Shards"]
