"""The number of labelled test images stands with the numbers that rest on them."""

import json
from pathlib import Path

from rich.console import Console
from tests.report.folder import TASKS, change_rows, write
from tests.report.page import page

from tutelage.layout import DATA
from tutelage.report import markdown, notebook, table
from tutelage.report.results import Results
from tutelage.types.look import Look, Measures, Summary

NOTHING = Measures(8, 0, 0.0, None, None, None, {})


def seen(folder: Path, looked_at: int = 12, **files: int) -> Path:
    """A finished study whose check saw so many labelled test images of each task."""
    write(folder)
    change_rows(folder, lambda row: row.update(split="test"))
    rows = [
        Summary(source, split, label, "", "", "", 12, count, looked_at, {}, NOTHING)
        for split in ("train", "test")
        for source in ("a", "b")
        for label, count in files.items()
    ]
    (folder / DATA).write_text(json.dumps(Look(rows).record()))
    return folder


def test_it_is_the_sum_over_the_sources_of_test(tmp_path: Path) -> None:
    seen(tmp_path, segmentation=8, depth=9)
    expected = "labelled test images: segmentation 16, depth 18"
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table(tmp_path, TASKS, 200))
    assert expected in " ".join(captured.get().split())
    assert expected in notebook(tmp_path, TASKS)
    assert expected.replace("test ", "") in markdown(tmp_path, TASKS)
    assert expected.capitalize() in page(tmp_path).text


def test_what_was_not_counted_is_not_said(tmp_path: Path) -> None:
    assert Results(seen(tmp_path / "part", looked_at=11, segmentation=8, depth=9), TASKS).labelled == ""
    assert Results(seen(tmp_path / "task", segmentation=8), TASKS).labelled == ""
    assert Results(write(tmp_path / "nothing"), TASKS).labelled == ""
