import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.report.folder import TASKS, change_rows, write
from tests.report.page import page

from tutelage.report import latex, markdown, sentence, table
from tutelage.report.conclusion import conclusion
from tutelage.report.results import Results
from tutelage.report.sections.numbers import numbers


def with_deltas(folder: Path, **gains: list[float | None]) -> Results:
    """Delta main of each method by seed, in the dataset protocol; the other protocol says the opposite."""

    def change(row: dict[str, Any]) -> None:
        if row["method"] in gains:
            gain = gains[row["method"]][row["seed"]]
            row["delta"]["main"] = gain if row["protocol"] == "dataset" or gain is None else -gain

    change_rows(folder, change)
    return Results(folder, TASKS)


def test_the_difference_is_paired_by_seed(tmp_path: Path) -> None:
    folder = write(tmp_path, seeds=(0, 1, 2))
    # Differences of 5, 4 and 6: s = 1, t = 4.303.
    results = with_deltas(folder, uniform=[-9.0, 0.0, 9.0], kd4mtl=[-4.0, 4.0, 15.0])
    assert conclusion(results) == (
        "kd4mtl against uniform: +5.00 ± 2.48 points of Delta main (paired over 3 seeds: better); "
        "against one network per task: +5.00 ± 23.70 (paired over 3 seeds: no difference shown)."
    )


def test_a_loss_is_said_as_plainly(tmp_path: Path) -> None:
    folder = write(tmp_path, seeds=(0, 1, 2))
    results = with_deltas(folder, uniform=[9.0, 8.0, 10.0], kd4mtl=[-4.0, -5.0, -3.0])
    assert conclusion(results) == (
        "kd4mtl against uniform: -13.00 ± 0.00 points of Delta main (paired over 3 seeds: worse); "
        "against one network per task: -4.00 ± 2.48 (paired over 3 seeds: worse)."
    )


def test_one_seed_claims_nothing(tmp_path: Path) -> None:
    results = with_deltas(write(tmp_path), uniform=[-9.0], kd4mtl=[4.0])
    assert conclusion(results) == (
        "kd4mtl against uniform: +13.00 points of Delta main (one seed, no interval); "
        "against one network per task: +4.00 (one seed, no interval)."
    )


def test_the_order_of_the_study_decides_not_the_results(tmp_path: Path) -> None:
    results = with_deltas(write(tmp_path, methods=("probe", "uniform", "kd4mtl")), probe=[50.0], uniform=[40.0])
    assert conclusion(results).startswith("kd4mtl against uniform: ")  # probe is a control


@pytest.mark.parametrize("method", ["uniform", "kd4mtl"])
def test_with_one_kind_of_method_single_task_networks_are_what_is_left(tmp_path: Path, method: str) -> None:
    results = with_deltas(write(tmp_path, methods=[method]), **{method: [3.0]})
    expected = f"{method} against one network per task: +3.00 points of Delta main (one seed, no interval)."
    assert conclusion(results) == expected


def test_what_has_no_delta_is_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path)
    results = with_deltas(folder, uniform=[None])
    assert conclusion(results) == (
        "kd4mtl against one network per task: +4.17 points of Delta main (one seed, no interval)."
    )
    assert conclusion(with_deltas(folder, kd4mtl=[None])) == ""


def test_single_task_networks_alone_need_no_sentence(tmp_path: Path) -> None:
    results = Results(write(tmp_path, methods=()), TASKS)
    assert conclusion(results) == ""
    assert sentence(tmp_path, TASKS) is None


def test_terminal_document_and_page_say_the_same(tmp_path: Path) -> None:
    expected = conclusion(Results(write(tmp_path, methods=("uniform", "kd4mtl"), seeds=(0, 1)), TASKS))
    assert expected in markdown(tmp_path, TASKS)
    assert page(tmp_path).text.count(expected) == 1
    console = Console(width=500)
    with console.capture() as capture:
        console.print(sentence(tmp_path, TASKS))
    assert capture.get().strip() == expected


def test_given_teachers_are_compared_with_in_place_of_single_task_networks(tmp_path: Path) -> None:
    folder = write(tmp_path, seeds=(0, 1))
    change_rows(folder, lambda row: row.update(method={"single": "teacher"}.get(row["method"], row["method"])))
    results = Results(folder, TASKS)
    assert "; against the teachers: " in conclusion(results)
    [*_, section] = markdown(folder, TASKS).split("Delta main of each seed")
    assert [line.split("`")[1] for line in section.split("Paired")[0].splitlines() if line.startswith("| `")] == [
        "uniform", "kd4mtl",
    ]  # fmt: skip
    shown = numbers(results)
    assert shown is not None
    chart = shown.views[0].deltas[0].chart
    assert chart is not None
    assert "kd4mtl" in chart.panels[0]
    assert "teacher" not in chart.panels[0]


def test_where_delta_compares_with_nothing_no_text_says_with_what(tmp_path: Path) -> None:
    folder = write(tmp_path, seeds=(0, 1))
    results = json.loads((folder / "results.json").read_text())
    results["rows"] = [row for row in results["rows"] if row["method"] != "single"]
    (folder / "results.json").write_text(json.dumps(results))
    console = Console(width=500)
    with console.capture() as capture:
        console.print(table(folder, TASKS, 500))
    for text in (markdown(folder, TASKS), latex(folder, TASKS), page(folder).text, capture.get()):
        assert "None" not in text
