"""The bench, on networks so small that only its arithmetic is tested."""

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tutelage.balance import Uniform
from tutelage.bench import Cost, balancing, case, table
from tutelage.cli import main


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case, "FILTERS", (2, 2, 2, 2, 2))
    monkeypatch.setattr(case, "SIZE", (32, 32))
    monkeypatch.setattr(balancing, "BATCH", 2)
    chosen = ("DWA", "FAMO", "PCGrad", "MGDA-UB", "mtl_backward, 1 by 1")
    monkeypatch.setattr(balancing, "METHODS", {name: balancing.METHODS[name] for name in chosen})


def test_no_name_is_cut_off_on_a_narrow_terminal() -> None:
    costs = [Cost(5, True, "mtl_backward, 1 by 1", "representation", 12.5, 11.25, 13.75, 1.1, 2**27, 2**28)]
    console = Console(file=StringIO(), width=80)
    console.print(table(costs))
    shown = console.file.getvalue()
    assert all(
        word in shown for word in ("5 taught", "mtl_backward, 1 by 1", "12.50", "11.25-13.75", "+128.0", "+256.0")
    )


def test_every_method_is_measured_beside_the_plain_sum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    assert main(["bench", "--tasks", "3", "--rounds", "2", "--out", str(out)]) == 0
    written = json.loads(out.read_text())
    costs = {(cost["method"], cost["distilled"]): cost for cost in written["costs"]}
    assert {distilled for _, distilled in costs} == {False, True}
    assert ("mtl_backward, 1 by 1", True) not in costs  # it knows no distillation
    for cost in costs.values():
        assert 0 < cost["low"] <= cost["ratio"] <= cost["high"]
        assert cost["limit"] == balancing.LIMITS[cost["kind"]].get(3)
    assert written["rounds"] == 2
    shown = capsys.readouterr().out
    assert all(method in shown for method, _ in costs)
    assert "ratio" in shown


def test_the_memory_of_exact_gradients_is_a_row_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case, "FILTERS", (16, 32, 128, 256, 256))  # more parameters than features
    tasks = case.make_tasks(3)
    batch = case.random_batch(tasks)
    _, make = balancing.METHODS["PCGrad"]
    exact, plain = (case.Case(b, tasks, batch, False) for b in (make(), Uniform()))
    over = exact.peak() - plain.peak()
    assert 2 * exact.shared * 4 < over < 6 * exact.shared * 4  # three rows beside the one that both have


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--tasks", "9"], "--tasks: expected numbers from 2 to 5, found 9"),
        (["--rounds", "0"], "--rounds: expected 1 or more, found 0"),
    ],
)
def test_what_is_refused(flags: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *flags]) == 2
    assert line in capsys.readouterr().err


def test_a_table_marks_what_is_over_its_limit() -> None:
    cost = Cost(3, True, "PCGrad", "parameters", 2.5, 2.4, 2.6, 1.95, 4 * 2**20, None)
    console = Console(width=100, record=True)
    console.print(table([cost]))
    text = console.export_text()
    assert "3 taught" in text
    assert "2.50" in text
    assert "+4.0" in text
