"""Processes that measure together, by torch.distributed."""

from landscope.distributed.ranks import RankError, Ranks

__all__ = ["RankError", "Ranks"]
