"""The results of a study for people: tables and one self-contained page."""

from tutelage.report.render.markdown import markdown
from tutelage.report.render.page import write_report
from tutelage.report.render.terminal import differences, table
from tutelage.report.render.tuning import tuning_table
from tutelage.report.statistics import Summary, paired, summarise

__all__ = ["Summary", "differences", "markdown", "paired", "summarise", "table", "tuning_table", "write_report"]
