import json
from pathlib import Path

import pytest
from tests.report.folder import TASKS, write
from tests.report.page import page

from tutelage.report.results import Results
from tutelage.report.sections.cost import cost

MEASURED = {
    "multiply_adds": 3_000_000, "milliseconds": 4.0, "weights": 2_000_000, "activations": 1_000_000, "size": [48, 64],
    "device": "CPU", "threads": 2,
}  # fmt: skip
RUNS = ("single/segmentation", "single/depth", "uniform", "kd4mtl")


def measured(folder: Path) -> Path:
    write(folder)
    for run in RUNS:
        (folder / run / "seed0" / "cost.json").write_text(json.dumps(MEASURED))
    return folder


def test_a_student_is_compared_with_all_networks_that_it_replaces(tmp_path: Path) -> None:
    section = cost(Results(measured(tmp_path), TASKS))
    assert section is not None
    texts = {line.name: [cell.text for cell in line.cells] for line in section.table.lines}
    # Two networks one after the other: both weights, and the activations of one at a time.
    assert texts["single"] == ["1.23 k", "6 M", "8", "5", "-", "1.0"]
    assert texts["kd4mtl"] == ["1.23 k (1.00)", "3 M (0.50)", "4 (0.50)", "3 (0.60)", "-", "1.0 (1.00)"]
    assert section.summary == (
        "One network by kd4mtl has 1.00 of the parameters, 0.50 of the multiply-adds, 0.50 of the time and 0.60 of the "
        "memory of the networks that it replaces (single)."
    )
    text = " ".join(page(tmp_path).text.split())
    assert "For one image of 48 x 64 in fp32 (CPU, 2 threads)" in text


def test_networks_of_one_architecture_take_the_same_time(tmp_path: Path) -> None:
    folder = measured(tmp_path)
    slow = {**MEASURED, "milliseconds": 9.0}  # another program was at work
    (folder / "uniform/seed0/cost.json").write_text(json.dumps(slow))
    (folder / "single/depth/seed0/cost.json").write_text(json.dumps({**slow, "multiply_adds": 2_900_000}))
    section = cost(Results(folder, TASKS))
    assert section is not None
    times = {line.name: line.cells[2].text for line in section.table.lines}
    assert times == {"single": "13", "uniform": "4 (0.31)", "kd4mtl": "4 (0.31)"}


def test_a_method_without_rows_in_the_protocol_of_the_table_has_a_dash(tmp_path: Path) -> None:
    path = measured(tmp_path) / "results.json"
    results = json.loads(path.read_text())
    results["rows"] = [row for row in results["rows"] if (row["method"], row["protocol"]) != ("uniform", "dataset")]
    path.write_text(json.dumps(results))
    section = cost(Results(tmp_path, TASKS))
    assert section is not None
    assert {line.name: line.cells[-1].text for line in section.table.lines}["uniform"] == "-"
    page(tmp_path)


@pytest.mark.parametrize("damage", ["", "[]", '{"multiply_adds": "many", "size": 3}', None])
def test_what_was_not_measured_has_a_dash(tmp_path: Path, damage: str | None) -> None:
    file = measured(tmp_path) / "single/depth/seed0/cost.json"
    file.unlink() if damage is None else file.write_text(damage)
    section = cost(Results(tmp_path, TASKS))
    assert section is not None
    cells = {line.name: [cell.text for cell in line.cells] for line in section.table.lines}
    assert cells["single"] == ["1.23 k", "-", "-", "-", "-", "1.0"]
    assert cells["kd4mtl"] == ["1.23 k (1.00)", "3 M", "4", "3", "-", "1.0 (1.00)"]
    assert (
        section.summary == "One network by kd4mtl has 1.00 of the parameters of the networks that it replaces (single)."
    )
