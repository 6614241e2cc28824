from pathlib import Path
from typing import Any

from rich.console import Console
from tests.report.folder import TASKS, change_rows, write
from tests.report.page import page

from tutelage.report import markdown, table
from tutelage.report.results import Results
from tutelage.report.undefined import undefined


def no_labels(row: dict[str, Any]) -> None:
    row["split"] = "test"
    row["metrics"]["depth"] = {"abs_err": None, "rel_err": None}
    row["delta"] = dict.fromkeys(row["delta"])


def test_everything_defined_needs_no_sentence(tmp_path: Path) -> None:
    assert undefined(Results(write(tmp_path), TASKS)) == ""
    assert "A dash" not in page(tmp_path).text


def test_a_task_without_labels_is_said_once(tmp_path: Path) -> None:
    change_rows(write(tmp_path, seeds=(0, 1)), no_labels)
    sentence = (
        "A dash: the metric has no value, since no test image has a label of the task (depth); "
        "a Delta that needs it has none either."
    )
    text = page(tmp_path).text
    assert text.count(sentence) == 1
    assert sentence in markdown(tmp_path, TASKS)
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table(tmp_path, TASKS, 200))
    [line] = [line for line in capture.get().splitlines() if "kd4mtl" in line]
    assert line.split()[-5:] == ["-", "-", "-", "1.23", "k"]  # two metrics of depth, and Delta


def test_a_metric_of_one_run_is_named(tmp_path: Path) -> None:
    def change(row: dict[str, Any]) -> None:
        if row["method"] == "uniform":
            row["metrics"]["depth"]["rel_err"] = None

    change_rows(write(tmp_path), change)
    assert undefined(Results(tmp_path, TASKS)).startswith(
        "A dash: the metric has no value, since labels or predictions of a run do not define it (depth rel_err);"
    )


def test_both_reasons_in_one_sentence(tmp_path: Path) -> None:
    change_rows(write(tmp_path), lambda row: (no_labels(row), row["metrics"]["segmentation"].update(miou=None)))
    sentence = undefined(Results(tmp_path, TASKS))
    assert "(depth), and labels or predictions of a run do not define it (segmentation miou)" in sentence
    assert sentence.count(".") == 1


def test_delta_against_zero(tmp_path: Path) -> None:
    change_rows(write(tmp_path), lambda row: row["delta"].update(main=None))
    expected = "A dash: Delta has no value, since a metric of the single-task networks of the same seed is 0."
    assert undefined(Results(tmp_path, TASKS)) == expected


def test_nothing_to_compare_has_no_dash(tmp_path: Path) -> None:
    (write(tmp_path) / "results.json").write_text('{"study": "kitchen", "rows": []}')
    assert undefined(Results(tmp_path, TASKS)) == ""
