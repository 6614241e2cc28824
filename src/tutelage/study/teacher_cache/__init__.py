"""What a study's teachers compute, cached: what is worth it, before the first step, and the same when a run goes on."""

from tutelage.study.teacher_cache.record import CacheRecord, Needs
from tutelage.study.teacher_cache.spared import Spared
from tutelage.study.teacher_cache.wire import cache_cost, cache_teachers, may_cache, read_needs

__all__ = ["CacheRecord", "Needs", "Spared", "cache_cost", "cache_teachers", "may_cache", "read_needs"]
