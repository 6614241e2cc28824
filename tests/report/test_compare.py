import json
from io import StringIO
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from tests.report.folder import TASKS, change_rows, values, write

from tutelage.cli import main
from tutelage.metrics import deltas
from tutelage.report import Comparison, compared, compared_latex, compared_markdown, latex
from tutelage.report.render.latex import escape


def studies(folder: Path, seeds: tuple[int, ...] = (0, 1, 2)) -> tuple[Path, Path]:
    """Two studies: in the second one every method is better by 1 to 1.2 points of mIoU, and has another rate."""
    first, second = write(folder / "kitchen", seeds=seeds), write(folder / "bath", seeds=seeds)
    better = {0: 1.0, 1: 1.1, 2: 1.2}
    change_rows(
        second,
        lambda row: row["metrics"]["segmentation"].update(
            miou=row["metrics"]["segmentation"]["miou"] + better[row["seed"]]
        ),
    )
    tasks = {
        "segmentation": {"class_path": "tutelage.tasks.Segmentation", "init_args": {"classes": 4}},
        "depth": {"class_path": "tutelage.tasks.Depth"},
    }
    for study, lr in ((first, 0.001), (second, 0.01)):
        train = {"student": {"optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": lr}}}}
        method = {"kd4mtl": {"lr": lr}, "uniform": {}}
        content = {"study": study.name, "tasks": tasks, "train": train, "method": method, "seeds": list(seeds)}
        (study / "study.yaml").write_text(yaml.safe_dump(content))
    return first, second


def text(comparison: Comparison, width: int = 200) -> str:
    console = Console(width=width, file=StringIO())
    for table in compared(comparison):
        console.print(table)
    return console.file.getvalue()


def test_settings_are_the_keys_that_differ(tmp_path: Path) -> None:
    model = Comparison(studies(tmp_path), TASKS).settings()
    assert [column.name for column in model.columns] == ["kitchen", "bath"]
    assert {line.name: [cell.text for cell in line.cells] for line in model.lines} == {
        "train.student.optimizer.lr": ["0.001", "0.01"],
        "method.kd4mtl.lr": ["0.001", "0.01"],
    }


def test_differences_are_paired_by_seed(tmp_path: Path) -> None:
    comparison = Comparison(studies(tmp_path), TASKS)
    model = comparison.differences()
    lines = {line.name: line.cells for line in model.lines}
    assert list(lines) == ["bath single", "bath uniform", "bath kd4mtl"]
    minus, miou, depth, gain = lines["bath kd4mtl"]
    assert minus.text == "kitchen kd4mtl"
    assert miou.text == "+1.10 ± 0.25"  # t(0.975, 2) s / sqrt(3) = 4.303 x 0.1 / 1.732
    assert miou.strong
    assert depth.text == "0.0000 ± 0.0000"
    assert not depth.strong
    expected = []
    for seed, better in enumerate((1.0, 1.1, 1.2)):
        own, base = values("kd4mtl", seed), values("kd4mtl", seed)
        own["segmentation"]["miou"] += better
        expected.append(deltas(own, base, TASKS)["main"])
    assert gain.text.startswith(f"{sum(expected) / 3:+.2f} ±")


def test_a_method_is_compared_with_another_one_of_the_same_study(tmp_path: Path) -> None:
    first, _ = studies(tmp_path)
    comparison = Comparison([first / "uniform", first / "kd4mtl"], TASKS)
    [line] = comparison.differences().lines
    assert (line.name, line.cells[0].text, line.cells[1].text) == (
        "kitchen kd4mtl", "kitchen uniform", "+3.00 ± 0.00",
    )  # fmt: skip
    assert [line.name for line in comparison.values().lines] == ["kitchen uniform", "kitchen kd4mtl"]
    assert [(line.name, [c.text for c in line.cells]) for line in comparison.settings().lines] == [
        ("method", ["{}", "-"]), ("method.lr", ["-", "0.001"]),
    ]  # fmt: skip


def test_a_single_seed_has_no_interval_and_other_seeds_no_difference(tmp_path: Path) -> None:
    first, second = studies(tmp_path, seeds=(0,))
    assert Comparison([first, second], TASKS).differences().lines[0].cells[1].text == "+1.00"
    change_rows(second, lambda row: row.update(seed=7))
    comparison = Comparison([first, second], TASKS)
    assert comparison.differences().lines[0].cells[1].text == "-"
    assert "bath has no seed of kitchen: no paired difference exists" in comparison.notes


def test_other_data_and_another_split_are_said(tmp_path: Path) -> None:
    first, second = studies(tmp_path)
    assert Comparison([first, second], TASKS).notes == []
    change_rows(second, lambda row: row.update(split="test"))
    for file in second.glob("**/environment.json"):
        file.write_text(json.dumps({"data": "other"}))
    assert Comparison([first, second], TASKS).notes == [
        "bath reports the split test, not val",
        "bath has other data than kitchen, or data that are not known to be the same",
    ]


def test_studies_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    folders = [write(tmp_path / "a" / "rooms"), write(tmp_path / "b" / "rooms")]
    assert [side.name for side in Comparison(folders, TASKS).sides] == [str(folder) for folder in folders]


def test_the_tables_are_readable_on_narrow_and_wide_terminals(tmp_path: Path) -> None:
    comparison = Comparison(studies(tmp_path), TASKS)
    for width in (60, 200):
        lines = text(comparison, width).splitlines()
        assert max(map(len, lines)) <= width
        assert any("train.student" in line for line in lines)


def test_markdown_and_latex_have_the_same_cells(tmp_path: Path) -> None:
    comparison = Comparison(studies(tmp_path), TASKS)
    markdown, tex = compared_markdown(comparison), compared_latex(comparison)
    assert "| `bath kd4mtl` | kitchen kd4mtl | **+1.10 ± 0.25** |" in markdown
    assert r"bath kd4mtl & kitchen kd4mtl & \textbf{+1.10 $\pm$ 0.25}" in tex
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == tex.count(r"\toprule") == 3
    assert "train.student.optimizer.lr & 0.001 & 0.01" in tex


def test_the_latex_of_a_study(tmp_path: Path) -> None:
    first, _ = studies(tmp_path)
    tex = latex(first, TASKS)
    assert r"segmentation miou \% $\uparrow$" in tex
    assert r"kd4mtl & \textbf{42.25 $\pm$ 0.62}" in tex
    assert tex.count(r"\begin{tabular}") == 2
    assert latex(first, TASKS, [0]).count(r"\begin{tabular}") == 1


def test_nothing_that_latex_would_run_is_left_in_a_name() -> None:
    assert escape(r"\input{x}_$1") == r"\textbackslash{}input\{x\}\_\$1"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["kitchen"], "FOLDER: expected two folders or more, found"),
        (["kitchen", "none"], "none: expected the folder of a study, or of a method in one, found no study.yaml"),
        (["kitchen", "bath/best"], "bath/best: expected a method with results (single, uniform, kd4mtl), found `best`"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    studies(tmp_path)
    assert main(["compare", *(str(tmp_path / name) for name in arguments)]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


def test_the_command_prints_every_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = map(str, studies(tmp_path))
    for flags, expected in (
        ([], "what differs in the configs"),
        (["--markdown"], "| key |"),
        (["--latex"], "booktabs"),
    ):
        assert main(["compare", first, second, *flags]) == 0
        assert expected in capsys.readouterr().out
    assert main(["report", first, "--latex"]) == 0
    assert r"\begin{tabular}" in capsys.readouterr().out


def test_what_a_study_says_cannot_reach_the_terminal_as_commands(tmp_path: Path) -> None:
    first, second = studies(tmp_path)
    content = yaml.safe_load((second / "study.yaml").read_text())
    content["train"]["note"] = "a\x1b[31mred"
    (second / "study.yaml").write_text(yaml.safe_dump(content))
    change_rows(second, lambda row: row.update(method="bad\x1b]0;title\x07") if row["method"] == "uniform" else None)
    comparison = Comparison([first, second], TASKS)
    for printed in (text(comparison), compared_markdown(comparison), compared_latex(comparison)):
        assert "\x1b" not in printed
        assert "\x07" not in printed
        assert "ared" in printed


def test_studies_without_a_common_task_are_refused(tmp_path: Path) -> None:
    first, second = studies(tmp_path)
    change_rows(second, lambda row: row.update(metrics={"edges": {"f1": 0.5}}))
    with pytest.raises(ValueError, match=r"bath: expected a task of .*kitchen \(segmentation, depth\), found edges"):
        Comparison([first, second], TASKS)


def test_the_name_of_a_study_stays_in_its_comment(tmp_path: Path) -> None:
    first, _ = studies(tmp_path)
    record = json.loads((first / "results.json").read_text())
    (first / "results.json").write_text(json.dumps(record | {"study": "a\n\\input{b}"}))
    (line,) = (line for line in latex(first, TASKS).splitlines() if r"\input" in line)
    assert line.startswith("% ")
