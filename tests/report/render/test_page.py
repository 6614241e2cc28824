import hashlib
import json
import re
import shutil
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import yaml
from tests.report.folder import TASKS, change_rows, log, specify, write
from tests.report.page import Page, page

from tutelage.report import write_report


def test_the_page_shows_everything(tmp_path: Path) -> None:
    shown = page(write(tmp_path))
    for expected in ("kitchen", "kd4mtl", "about kd4mtl", "miou", "+4.17", "42.00", "Predictions", "Training", "Losses",
                     "Distances to the teachers", "Weights", "tutelage run kd4mtl <b>", "torch 2.15", "f1ng3r",
                     "no interval can be given", "task_mean", "image protocol"):  # fmt: skip
        assert expected in shown.text, expected
    assert sum(tag == "svg" for tag, _ in shown.tags) == 6 + 3 * 2  # Deltas; losses, distances and weights of two tasks
    shows = [of["data-protocol"] for _, of in shown.tags if "data-protocol" in of]
    assert shows == ["dataset", "image"]


def test_the_page_is_self_contained(tmp_path: Path) -> None:
    shown = page(write(tmp_path))
    assert not {tag for tag, _ in shown.tags} & {"link", "iframe", "object", "form"}
    assert shown.scripts == 1
    for _, of in shown.tags:
        for name, value in of.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href"):
                assert value.startswith(("data:image/", "#"))


def test_the_policy_allows_the_pages_script_and_no_other(tmp_path: Path) -> None:
    page(write(tmp_path))
    text = (tmp_path / "report.html").read_text()
    [policy] = re.findall(r'"Content-Security-Policy" content="([^"]*)"', text)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    script = text.split("<script>")[1].split("</script>")[0]
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{digest}'"


def test_names_cannot_become_html(tmp_path: Path) -> None:
    name = 'a"><script>alert(1)<\\script>$x$'  # a folder's name holds no slash
    shown = page(write(tmp_path, methods=[name]))
    assert shown.scripts == 1
    assert name in shown.text


def test_a_tasks_name_cannot_either(tmp_path: Path) -> None:
    name = "<script>t</script>"
    path = write_report(write(tmp_path), {name: TASKS["depth"], "depth": TASKS["depth"]})
    shown = Page(path.read_text())
    assert shown.scripts == 1
    assert name in shown.text


def test_light_and_dark_and_narrow(tmp_path: Path) -> None:
    page(write(tmp_path))
    text = (tmp_path / "report.html").read_text()
    assert "color-scheme: light dark" in text
    assert '<meta name="viewport"' in text
    assert not re.findall(r"(?:fill|stroke): #[^;]*", text)  # charts take their colours from the page


SHOWN = {
    "predictions.safetensors": "Predictions",
    "log.jsonl": "Losses",
    "environment.json": "Made by",
    "config.yaml": "about kd4mtl",
    "study.yaml": "The resolved study",
    "result.json": "The teachers by themselves: segmentation miou",
    "spec.json": "dino: without a task",
}
DAMAGED = b"\xff\xfe{\x00"  # neither text nor JSON; test_run_files.py has more kinds


@pytest.mark.parametrize("file", SHOWN)
@pytest.mark.parametrize("content", [None, DAMAGED])
def test_a_missing_or_damaged_file_is_left_out(tmp_path: Path, file: str, content: bytes | None) -> None:
    write(tmp_path)
    if file == "spec.json":
        specify(tmp_path, "kd4mtl", {"dino": {"tasks": [], "kind": "file", "run": None}})
    if content is None:
        assert SHOWN[file] in page(tmp_path).text
    for path in tmp_path.glob(f"**/{file}"):
        path.unlink() if content is None else path.write_bytes(content)
    shown = page(tmp_path)
    assert "42.00" in shown.text
    assert SHOWN[file] not in shown.text


@pytest.mark.parametrize("file", ["predictions.safetensors", "log.jsonl", "environment.json", "config.yaml"])
def test_one_damaged_file_hides_nothing_but_itself(tmp_path: Path, file: str) -> None:
    (write(tmp_path) / "uniform" / "seed0" / file).write_bytes(DAMAGED)
    shown = page(tmp_path)
    for expected in ("Predictions", "Losses", "tutelage run kd4mtl", "about kd4mtl", "Health of distillation"):
        assert expected in shown.text, expected
    names = {of["alt"] for tag, of in shown.tags if tag == "img"}
    assert "depth, kd4mtl" in names
    assert ("depth, uniform" in names) == (file != "predictions.safetensors")
    assert ("about uniform" in shown.text) == (file != "config.yaml")
    assert ("tutelage run uniform" in shown.text) == (file != "environment.json")


def test_a_study_that_has_only_begun(tmp_path: Path) -> None:
    write(tmp_path)
    shutil.rmtree(tmp_path / "kd4mtl")
    (tmp_path / "study.yaml").unlink()
    assert "kd4mtl" in page(tmp_path).text
    (tmp_path / "results.json").write_text('{"study": "kitchen", "rows": []}')
    assert "nothing to compare" in page(tmp_path).text


HOSTILE = "</td></style><script>alert(\"1\" + '&')<!-- {{ 7 * 7 }} {% raw %} ]]> $x$"


@pytest.mark.parametrize("place", ["study", "task", "method", "teacher", "tap", "about", "values", "command", "source"])
def test_no_name_becomes_html(tmp_path: Path, place: str) -> None:
    method = HOSTILE.replace("/", "\\") if place == "method" else "kd4mtl"  # the name of a folder holds no slash
    task = HOSTILE if place == "task" else "segmentation"
    folder = write(tmp_path, methods=[method])
    tasks = {task: TASKS["segmentation"], "depth": TASKS["depth"]}
    results = json.loads((folder / "results.json").read_text())
    run = folder / method / "seed0"
    if place == "study":
        results["study"] = HOSTILE
    if place == "values":
        results["rows"][-1]["values"] = results["rows"][-2]["values"] = HOSTILE
    if place == "teacher":
        specify(folder, method, {HOSTILE: {"tasks": ["depth"], "kind": "single", "run": "single/depth/seed0"}})
    if place in ("task", "teacher", "tap"):
        key = {"task": f"{HOSTILE}/last", "teacher": f"{HOSTILE}/last", "tap": f"depth/{HOSTILE}"}[place]
        log(folder, f"{method}/seed0", {"epoch": 1, f"distance/{key}": 1.0, f"loss/{task}": 1.0})
    if place == "about":
        config = {"method": {method: {"about": HOSTILE, "distiller": {"class_path": HOSTILE}}}}
        (run / "config.yaml").write_text(yaml.safe_dump(config))
        (folder / "study.yaml").write_text(yaml.safe_dump(config))
    if place == "command":
        (run / "environment.json").write_text(
            json.dumps({"command": HOSTILE, "versions": {HOSTILE: HOSTILE}, "gpu": HOSTILE, "data": HOSTILE})
        )
    if place == "source":
        for path in folder.rglob("predictions.safetensors"):
            tensors = safetensors.torch.load_file(path)
            name = HOSTILE.replace("/", "")
            safetensors.torch.save_file({f"{name}/{key}": tensor for key, tensor in tensors.items()}, path)
    (folder / "results.json").write_text(json.dumps(results))
    text = write_report(folder, tasks).read_text()
    shown = Page(text)
    assert shown.scripts == text.count("<script") == 1
    assert "alert(" in shown.text
    assert "{{ 7 * 7 }}" in shown.text  # a name is no template


def test_the_caller_says_how_the_page_is_written(tmp_path: Path) -> None:
    """Several processes share a study's folder: the command writes under its lock."""
    written: list[tuple[Path, str]] = []
    path = write_report(write(tmp_path), TASKS, lambda *file: written.append(file))
    assert path == tmp_path / "report.html"
    assert not path.exists()
    [(where, text)] = written
    assert where == path
    assert text.startswith("<!doctype html>")


@pytest.mark.parametrize("split", [None, "test"])
def test_the_page_names_the_split(tmp_path: Path, split: str | None) -> None:
    def change(row: dict[str, Any]) -> None:
        row.pop("split")
        row |= {"split": split} if split else {}

    change_rows(write(tmp_path), change)
    text = " ".join(page(tmp_path).text.split())
    assert (
        f"All values are of the split {split or 'val'}, on which each network is evaluated once, after training" in text
    )
    assert f"equal distances through the split {split or 'val'}, seed 0" in text
