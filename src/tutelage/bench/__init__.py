"""`tutelage bench`: what parts of training cost, measured in one process beside what they could cost at best."""

from tutelage.bench.cost import Cost, Spread, markdown, table
from tutelage.bench.harness import Settings
from tutelage.bench.measure import PARTS, measure, write

__all__ = ["PARTS", "Cost", "Settings", "Spread", "markdown", "measure", "table", "write"]
