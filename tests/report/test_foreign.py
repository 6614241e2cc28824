"""The folder of a study may come from anybody: nothing in it is imported, and no name leaves the folder."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.report.folder import TASKS, change_rows, specify, write

from tutelage.cli import main
from tutelage.errors import UserError
from tutelage.report import markdown
from tutelage.report.run_files import read_teachers

PLAIN = {
    "segmentation": {"class_path": "tutelage.tasks.Segmentation", "init_args": {"classes": 4}},
    "depth": {"class_path": "tutelage.tasks.Depth"},
}
OWN = """
from pathlib import Path
from tutelage.tasks import Depth
Path("imported").touch()
class Mine(Depth): ...
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "their_tasks.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "their_tasks", raising=False)
    return named(write(tmp_path / "runs"), PLAIN)


def named(folder: Path, tasks: Any) -> Path:
    (folder / "study.yaml").write_text(yaml.safe_dump({"study": "kitchen", "tasks": tasks}))
    return folder


COMMANDS = [["report", "runs"], ["report", "runs", "--markdown"], ["compare", "runs", "runs/kd4mtl"]]


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize("path", ["their_tasks.Mine", "os.system", "tutelage.tasks.depth.torch.hub.load"])
def test_no_class_of_a_studys_yaml_is_imported(
    words: list[str], path: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named(folder, {**PLAIN, "depth": {"class_path": path}})
    assert main(words) == 2
    assert "runs/study.yaml: tasks.depth: expected " in capsys.readouterr().err
    assert not Path("imported").exists()


@pytest.mark.parametrize("words", COMMANDS)
def test_a_module_that_is_trusted_is(words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named(folder, {**PLAIN, "depth": {"class_path": "their_tasks.Mine"}})
    assert main([*words, "--trust", "their_tasks"]) == 0
    assert Path("imported").exists()
    capsys.readouterr()


@pytest.mark.parametrize("method", ["../elsewhere", "/etc", "..", ".", "a/b", "", "a\0b"])
def test_a_method_is_no_path(method: str, folder: Path) -> None:
    change_rows(folder, lambda row: row.update(method=method) if row["method"] == "kd4mtl" else None)
    with pytest.raises(UserError, match=r"results.json: expected the results .*is not the name of a method"):
        markdown(folder, TASKS)


@pytest.mark.parametrize("run", ["../../elsewhere/seed0", "/etc/passwd", "a/../../b/seed0", "teacher//seed0", "seed0"])
def test_the_run_of_a_teacher_is_no_path(run: str, folder: Path) -> None:
    specify(folder, "kd4mtl", {"depth": {"tasks": ["depth"], "kind": "teacher", "run": run}})
    assert read_teachers(folder / "kd4mtl/seed0", "kd4mtl")["depth"].runs is None


def test_a_study_with_results_of_other_tasks_has_no_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named(folder, {"dapth": PLAIN["depth"], "segmentation": PLAIN["segmentation"]})
    assert main(["report", "runs"]) == 2
    assert "study.yaml: expected the tasks of runs/results.json, depth, segmentation; found" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["results.json", "study.yaml"])
def test_text_that_goes_on_for_ever_is_one_line(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / name).write_text("[" * 50_000 if name.endswith("json") else "a: &a [*a]")
    assert main(["report", "runs"]) == 2
    assert f"runs/{name}: expected" in capsys.readouterr().err


def test_numbers_that_no_plot_can_draw_are_left_out(folder: Path) -> None:
    line = {"step": 4, "epoch": 1.0, "loss/depth": 10**400, "loss/segmentation": 1.0}
    with (folder / "kd4mtl/seed0/log.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    assert main(["report", "runs"]) == 0
