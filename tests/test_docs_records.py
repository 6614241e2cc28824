"""What the results and their appendix say was measured is what the records beside them hold, and no more."""

import re
from math import isclose
from pathlib import Path

import pytest
from tests.pages import ROOT

from tutelage.metrics import deltas
from tutelage.report import markdown, read_tasks
from tutelage.report.rows import read_rows
from tutelage.types import Task
from tutelage.values import read_values

RECORDS = sorted(file.parent for file in (ROOT / "docs/records").glob("*/study.yaml"))
each_study = pytest.mark.parametrize("folder", RECORDS, ids=[folder.name for folder in RECORDS])


def tasks_of(folder: Path) -> dict[str, Task]:
    return read_tasks(read_values(folder / "study.yaml"), folder / "study.yaml")


def test_there_are_records() -> None:
    assert RECORDS


@each_study
def test_the_tables_of_the_page_are_those_of_the_records(folder: Path) -> None:
    pages = [(ROOT / f"docs/{name}.md").read_text() for name in ("results", "from-scratch")]
    (page,) = (page for page in pages if f"docs/records/{folder.name}" in page)
    rows = [line for line in markdown(folder, tasks_of(folder)).splitlines() if line.startswith("| `")]
    assert len(rows) > 6
    assert not set(rows) - set(page.splitlines())


@each_study
def test_every_delta_is_that_of_its_metrics(folder: Path) -> None:
    tasks, rows = tasks_of(folder), read_rows(folder / "results.json")[1]
    single = {(row.seed, row.protocol): row.metrics for row in rows if row.method == "single"}
    assert len(rows) > len(single)
    for row in rows:
        found = deltas(row.metrics, single[row.seed, row.protocol], tasks)
        for name, value in row.delta.items():
            assert value is not None
            assert isclose(value, found[name], rel_tol=1e-6, abs_tol=1e-9)


@each_study
def test_no_record_names_a_folder_of_the_machine(folder: Path) -> None:
    for file in folder.rglob("*.*"):
        assert not re.search(r"""(?<![\w./:~-])/[a-z]+/""", file.read_text()), file
