"""The results of a study for people: tables and one self-contained page."""

from tutelage.report.compare import Comparison
from tutelage.report.render.latex import compared_latex, latex
from tutelage.report.render.markdown import compared_markdown, markdown
from tutelage.report.render.page import write_report
from tutelage.report.render.terminal import compared, differences, sentence, table
from tutelage.report.render.tuning import tuning_table
from tutelage.report.statistics import Summary, paired, summarise
from tutelage.report.tasks import read_tasks

__all__ = [
    "Comparison",
    "Summary",
    "compared",
    "compared_latex",
    "compared_markdown",
    "differences",
    "latex",
    "markdown",
    "paired",
    "read_tasks",
    "sentence",
    "summarise",
    "table",
    "tuning_table",
    "write_report",
]
