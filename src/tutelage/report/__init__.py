"""The results of a study for people: tables and one self-contained page."""

from tutelage.report.compare import Comparison
from tutelage.report.evidence import evidence
from tutelage.report.figures import write_figures
from tutelage.report.inspection import inspection_messages, inspection_tables, write_inspection
from tutelage.report.records import write_records
from tutelage.report.render.latex import compared_latex, latex
from tutelage.report.render.markdown import compared_markdown, markdown
from tutelage.report.render.notebook import notebook
from tutelage.report.render.page import write_report
from tutelage.report.render.terminal import WIDE, compared, differences, sentence, table, tables
from tutelage.report.render.tuning import tuning_table
from tutelage.report.results import Results
from tutelage.report.statistics import Summary, paired, summarise
from tutelage.report.tasks import read_tasks

__all__ = [
    "WIDE",
    "Comparison",
    "Results",
    "Summary",
    "compared",
    "compared_latex",
    "compared_markdown",
    "differences",
    "evidence",
    "inspection_messages",
    "inspection_tables",
    "latex",
    "markdown",
    "notebook",
    "paired",
    "read_tasks",
    "sentence",
    "summarise",
    "table",
    "tables",
    "tuning_table",
    "write_figures",
    "write_inspection",
    "write_records",
    "write_report",
]
