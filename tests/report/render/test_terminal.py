import json
from pathlib import Path

import pytest
from rich.console import Console
from tests.report.folder import TASKS, write

from tutelage.api.results import Results
from tutelage.cli.output import new_console, print_tables
from tutelage.report import differences, table


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
    assert ("rel_err" in text) == (width >= 120)
    assert ("2 columns more in a wider terminal" in " ".join(text.split())) == (width <= 80)


@pytest.mark.parametrize(("width", "intervals"), [(45, False), (70, True), (100, True)])
def test_intervals_are_the_last_to_go(tmp_path: Path, width: int, intervals: bool) -> None:
    text = "\n".join(render(write(tmp_path, seeds=(0, 1, 2)), width))
    assert "…" not in text
    assert ("±" in text.split("method")[1]) == intervals


def test_values_are_those_of_the_rows(tmp_path: Path) -> None:
    line = next(line for line in render(write(tmp_path), 70) if "kd4mtl" in line)
    assert line.split() == ["kd4mtl", "paper", "42.00", "0.5800", "+4.17", "1.23", "k"]


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
    assert "[red]x" in "\n".join(render(write(tmp_path, methods=["[red]x"]), 100))


def compare(folder: Path, width: int, styled: bool = False) -> str:
    console = Console(width=width, force_terminal=styled, color_system="standard" if styled else None)
    shown = differences(folder, TASKS, width=width)
    assert shown is not None
    with console.capture() as captured:
        console.print(shown)
    return captured.get()


def test_differences_are_of_pairs(tmp_path: Path) -> None:
    write(tmp_path, seeds=(0, 1, 2))
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    gains = {(row["method"], row["seed"]): row["delta"]["main"] for row in rows if row["protocol"] == "dataset"}
    expected = sum(gains["kd4mtl", seed] - gains["uniform", seed] for seed in (0, 1, 2)) / 3
    line = next(line for line in compare(tmp_path, 100).splitlines() if line.strip().startswith("kd4mtl"))
    assert f"{expected:+.2f} ± " in line
    assert line.count("±") == 2  # not with itself


def test_bold_is_what_is_clear(tmp_path: Path) -> None:
    write(tmp_path, seeds=(0, 1, 2))
    results = json.loads((tmp_path / "results.json").read_text())
    for row in results["rows"]:
        if row["method"] == "uniform":
            row["delta"]["main"] = (-1) ** row["seed"] * 5.0
    (tmp_path / "results.json").write_text(json.dumps(results))
    lines = compare(tmp_path, 100, styled=True).splitlines()
    by_method = {name: next(line for line in lines if name in line and "±" in line) for name in ("uniform", "kd4mtl")}
    assert by_method["uniform"].count("\x1b[1m") == 0  # minus single: +5, -5, +5
    assert by_method["kd4mtl"].count("\x1b[1m") == 1


def test_controls_are_rows_only_and_narrow_tables_lose_columns(tmp_path: Path) -> None:
    write(tmp_path, methods=("uniform", "kd4mtl", "probe"), seeds=(0, 1))
    wide, narrow = compare(tmp_path, 120), compare(tmp_path, 45)
    head = wide.split("───")[0]
    assert "kd4mtl" in head
    assert "probe" not in head
    assert "probe" in wide
    assert "kd4mtl" not in narrow.split("───")[0]
    assert "…" not in narrow


def test_one_seed_has_no_differences(tmp_path: Path) -> None:
    assert differences(write(tmp_path), TASKS) is None


def test_epoch_selection_are_shown_in_the_image_protocol(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "study.yaml").write_text("train: {official_quirks: true}\n")
    assert "image protocol" in "\n".join(render(tmp_path, 120))


@pytest.mark.parametrize("columns", [None, "60"])
def test_a_file_has_all_columns(
    tmp_path: Path, columns: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    print_tables(new_console(), write(tmp_path), TASKS)
    shown = capsys.readouterr().out
    lines = [line for line in shown.splitlines() if "kd4mtl" in line and "42.00" in line]
    assert len(lines[0].split()) == (9 if columns is None else 7)
    assert ("columns more" in shown) == (columns is not None)
    if columns is None:
        assert lines[0].rstrip() in Results(tmp_path, TASKS).table()
