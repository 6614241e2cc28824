"""Results that no table counts are named wherever a table is read."""

import json
from pathlib import Path

import pytest
from rich.console import Console
from tests.report.folder import TASKS, write
from tests.report.page import page

from tutelage.report import Comparison, compared_latex, compared_markdown, latex, markdown, notebook, tables
from tutelage.report.left_out import left_out
from tutelage.report.results import Results


def without_rows(folder: Path, seed: int, method: str | None = None) -> None:
    """Remove rows from results.json as `tutelage run` does where single-task networks are missing."""
    path = folder / "results.json"
    results = json.loads(path.read_text())
    results["rows"] = [row for row in results["rows"] if row["seed"] != seed or method not in (None, row["method"])]
    path.write_text(json.dumps(results))


def test_a_whole_study_needs_no_sentence(tmp_path: Path) -> None:
    assert left_out(Results(write(tmp_path, seeds=(0, 1)), TASKS)) == ""
    assert left_out(Results(tmp_path, TASKS, seeds=[0])) == ""
    assert "Left out" not in page(tmp_path).text


def test_a_seed_without_a_single_task_network_is_named_beside_every_table(tmp_path: Path) -> None:
    folder = write(tmp_path / "kitchen", seeds=(0, 1, 2))
    (folder / "single/depth/seed1/result.json").unlink()
    without_rows(folder, 1)
    results = Results(folder, TASKS)
    expected = "Left out: seed 1 (no result of single depth); the same `tutelage run` again completes the tables."
    assert left_out(results) == expected
    assert left_out(Results(folder, TASKS, seeds=[0, 2])) == ""
    assert left_out(Results(folder, TASKS, seeds=[0, 1])) == expected
    console = Console(width=300)
    with console.capture() as captured:
        for shown in tables(folder, TASKS, 300):
            console.print(shown)
    texts = [captured.get(), page(folder).text, notebook(folder, TASKS), markdown(folder, TASKS), latex(folder, TASKS)]
    comparison = Comparison([folder, write(tmp_path / "hall")], TASKS)
    for text in (*texts, compared_markdown(comparison), compared_latex(comparison)):
        assert text.count("Left out: seed 1 (no result of single depth)") == 1


@pytest.mark.parametrize(
    ("seed", "method", "expected"),
    [
        (1, None, "seed 1 (not yet in results.json)"),
        (1, "kd4mtl", "kd4mtl of seed 1 (not yet in results.json)"),
    ],
)
def test_results_that_came_after_the_table(tmp_path: Path, seed: int, method: str | None, expected: str) -> None:
    write(tmp_path, seeds=(0, 1))
    without_rows(tmp_path, seed, method)
    assert left_out(Results(tmp_path, TASKS)).startswith(f"Left out: {expected}; ")
