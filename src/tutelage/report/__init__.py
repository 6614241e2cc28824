"""What a study found, for people: a table and one self-contained page."""

from tutelage.report.markdown import markdown
from tutelage.report.page import write_report
from tutelage.report.statistics import Summary, paired, summarise
from tutelage.report.table import differences, table
from tutelage.report.tuning import tuning_table

__all__ = ["Summary", "differences", "markdown", "paired", "summarise", "table", "tuning_table", "write_report"]
