"""Samples that are decoded once, into memory-mapped rows that all runs and processes read."""

from tutelage.data.shards.keeper import Keeper, Mode
from tutelage.data.shards.samples import Shard

__all__ = ["Keeper", "Mode", "Shard"]
