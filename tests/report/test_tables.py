from pathlib import Path

import pytest
from tests.report.folder import TASKS, change_rows, write

from tutelage.report.results import Results
from tutelage.report.tables import difference_table, metric_table, seed_table


def test_columns_and_their_units(tmp_path: Path) -> None:
    model = metric_table(Results(write(tmp_path), TASKS), "dataset")
    assert [(column.group, column.name, column.mark) for column in model.columns] == [
        ("", "values", ""),
        ("", "seeds", ""),
        ("Delta", "main", "% ↑"),
        ("Delta", "task_mean", "% ↑"),
        ("Delta", "all_metrics", "% ↓"),
        ("segmentation", "miou", "% ↑"),
        ("segmentation", "pixel_accuracy", "% ↑"),
        ("depth", "abs_err", "m ↓"),
        ("depth", "rel_err", "↓"),
        ("cost", "params", ""),
    ]
    assert {column.name for column in model.columns if column.main} == {"main", "miou", "abs_err"}
    assert [(name, len(columns)) for name, columns in model.groups] == [
        ("", 2), ("Delta", 3), ("segmentation", 2), ("depth", 2), ("cost", 1),
    ]  # fmt: skip


def test_cells_have_a_text_with_and_one_without_the_interval(tmp_path: Path) -> None:
    model = metric_table(Results(write(tmp_path, seeds=(0, 1, 2)), TASKS), "dataset")
    [line] = [line for line in model.lines if line.name == "kd4mtl"]
    [miou] = [i for i, column in enumerate(model.columns) if column.name == "miou"]
    assert line.cells[miou].text == "42.25 ± 0.62"
    assert line.cells[miou].short == "42.25"
    assert [cell.text for cell in line.cells[:2]] == ["paper", "3"]
    assert [cell.text for cell in line.cells[-1:]] == ["1.23 k"]


def test_columns_are_chosen_in_any_order(tmp_path: Path) -> None:
    model = metric_table(Results(write(tmp_path), TASKS), "dataset")
    chosen = model.select(reversed(model.of_kind("metric", "delta")))
    assert [column.name for column in chosen.columns] == [
        "rel_err", "abs_err", "pixel_accuracy", "miou", "all_metrics", "task_mean", "main",
    ]  # fmt: skip
    assert [cell.text for cell in chosen.lines[2].cells][:4] == ["0.2800", "0.5800", "62.00", "42.00"]


def test_a_method_without_a_row_in_a_protocol_has_dashes(tmp_path: Path) -> None:
    write(tmp_path)
    change_rows(tmp_path, lambda row: row.update(protocol="dataset") if row["method"] == "uniform" else None)
    model = metric_table(Results(tmp_path, TASKS), "image")
    [line] = [line for line in model.lines if line.name == "uniform"]
    assert [cell.text for cell in line.cells] == ["study", "0", *["-"] * 7, "1.23 k"]


@pytest.mark.parametrize("convention", ["main", "task_mean", "all_metrics"])
def test_differences_are_strong_where_they_are_clear(tmp_path: Path, convention: str) -> None:
    write(tmp_path, methods=("uniform", "kd4mtl", "probe"), seeds=(0, 1, 2))

    def scatter(row: dict) -> None:
        if row["method"] == "uniform":
            row["delta"][convention] = (-1) ** row["seed"] * 5.0

    change_rows(tmp_path, scatter)
    model = difference_table(Results(tmp_path, TASKS), "dataset", convention)
    assert [column.name for column in model.columns] == ["single", "uniform", "kd4mtl"]  # a control is no reference
    strong = {
        (line.name, c.name)
        for line in model.lines
        for c, cell in zip(model.columns, line.cells, strict=True)
        if cell.strong
    }
    assert strong == {("single", "kd4mtl"), ("kd4mtl", "single"), ("probe", "single"), ("probe", "kd4mtl")}
    assert [line.cells[i].text for i, line in enumerate(model.lines[:3])] == ["", "", ""]


def test_delta_of_each_seed(tmp_path: Path) -> None:
    write(tmp_path, seeds=(0, 1))
    change_rows(tmp_path, lambda row: row["delta"].update(main=None) if row["seed"] == 1 else None)
    model = seed_table(Results(tmp_path, TASKS))
    assert [column.name for column in model.columns] == ["seed 0", "seed 1"]
    assert [(line.name, [cell.text for cell in line.cells]) for line in model.lines] == [
        ("uniform", ["-2.08", ""]),
        ("kd4mtl", ["+4.17", ""]),
    ]
