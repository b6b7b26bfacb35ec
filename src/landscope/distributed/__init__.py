"""Processes that measure together, by torch.distributed."""

from landscope.distributed.launched import is_launched, launched_group, leads
from landscope.distributed.ranks import LostRankError, RankError, Ranks

__all__ = ["LostRankError", "RankError", "Ranks", "is_launched", "launched_group", "leads"]
