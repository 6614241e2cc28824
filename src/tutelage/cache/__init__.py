"""What is computed once for all runs: rows of tensors in memory-mapped files, by a key of all that they depend on."""

from tutelage.cache.disk import cache_root, free_bytes, is_disk_full
from tutelage.cache.entry import Entry, is_complete
from tutelage.cache.key import Field, Key
from tutelage.cache.listing import Listed, clear, entries, remove

__all__ = [
    "Entry",
    "Field",
    "Key",
    "Listed",
    "cache_root",
    "clear",
    "entries",
    "free_bytes",
    "is_complete",
    "is_disk_full",
    "remove",
]
