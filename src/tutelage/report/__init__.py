"""What a study found, for people: a table and one self-contained page."""

from tutelage.report.findings import Summary, summarise
from tutelage.report.page import write_report
from tutelage.report.table import table

__all__ = ["Summary", "summarise", "table", "write_report"]
