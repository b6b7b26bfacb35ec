"""Processes that measure together, by torch.distributed."""

from landscope.distributed.launched import is_launched, launched_group, leads
from landscope.distributed.ranks import LostRankError, RankError, Ranks
from landscope.distributed.shards import Shard, Shards

__all__ = [
    "LostRankError",
    "RankError",
    "Ranks",
    "Shard",
    "Shards",
    "is_launched",
    "launched_group",
    "leads",
]
