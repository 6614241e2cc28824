"""`tutelage bench`: what parts of training cost, as ratios measured in one process."""

from tutelage.bench.balancing import bench, write
from tutelage.bench.costs import Cost, table

__all__ = ["Cost", "bench", "table", "write"]
