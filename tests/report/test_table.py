import json
from pathlib import Path

import pytest
from rich.console import Console
from tests.report.folder import TASKS, write

from tutelage.report import table


def render(folder: Path, width: int) -> list[str]:
    console = Console(width=width, record=True, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table(folder, TASKS, width=width))
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_table_fits_and_nothing_is_cut(tmp_path: Path, width: int) -> None:
    write(tmp_path)
    lines = render(tmp_path, width)
    assert max(map(len, map(str.rstrip, lines))) <= width
    text = "\n".join(lines)
    assert "…" not in text
    for expected in ("kitchen", "single", "uniform", "kd4mtl", "miou", "abs_err", "m ↓", "dataset", "interval"):
        assert expected in text, expected
    assert ("rel_err" in text) == (width >= 80)


@pytest.mark.parametrize(("width", "intervals"), [(45, False), (70, True), (100, True)])
def test_intervals_are_the_last_to_go(tmp_path: Path, width: int, intervals: bool) -> None:
    text = "\n".join(render(write(tmp_path, seeds=(0, 1, 2)), width))
    assert "…" not in text
    assert ("±" in text.split("method")[1]) == intervals


def test_values_are_those_of_the_rows(tmp_path: Path) -> None:
    line = next(line for line in render(write(tmp_path), 70) if "kd4mtl" in line)
    assert line.split() == ["kd4mtl", "42.00", "0.5800", "+4.17", "1.23", "k"]


def test_several_seeds_have_an_interval(tmp_path: Path) -> None:
    text = "\n".join(render(write(tmp_path, seeds=(0, 1, 2)), 100))
    assert "3 seeds, mean ± 95 % interval" in " ".join(text.split())
    assert "42.25 ± 0.62" in text  # 42, 42.25, 42.5: s = 0.25, t = 4.303


def test_a_method_with_fewer_seeds_says_so(tmp_path: Path) -> None:
    write(tmp_path, seeds=(0, 1))
    results = json.loads((tmp_path / "results.json").read_text())
    results["rows"] = [row for row in results["rows"] if (row["method"], row["seed"]) != ("kd4mtl", 1)]
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert "kd4mtl (1 of 2 seeds)" in "\n".join(render(tmp_path, 100))


def test_a_name_is_not_markup(tmp_path: Path) -> None:
    assert "[red]x[/]" in "\n".join(render(write(tmp_path, methods=["[red]x[/]"]), 100))
