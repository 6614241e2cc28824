"""The tutorials do what they say, block by block; those that train for minutes with `-m slow`."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.pages import ROOT, blocks, follow

from tutelage import Results
from tutelage.cli import main

TUTORIALS = ROOT / "docs/tutorials"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tutelage.propose.training.find_weights", lambda: None)  # as on a machine without a network


def test_teachers(capsys: pytest.CaptureFixture[str]) -> None:
    follow(TUTORIALS / "teachers.md", capsys)
    assert set(Results("runs/distill").methods) == {"teacher", "kd4mtl", "url"}
    assert Path("student.safetensors").exists()


def test_init_says_of_the_photographs_what_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    page = TUTORIALS / "photographs.md"
    make = next(block for block in blocks(page, "python") if block.title == "make_photos.py")
    exec(make.text, {})
    assert main(["init", "photos"]) == 0
    assert capsys.readouterr().out == blocks(page, "text")[0].text


def test_the_python_of_photographs_has_fifteen_lines() -> None:
    (block,) = [block for block in blocks(TUTORIALS / "photographs.md", "python") if not block.title]
    assert len([line for line in block.text.splitlines() if line.strip()]) <= 15


@pytest.mark.slow  # minutes: it trains 15 networks
@pytest.mark.parametrize("page", ["rooms", "photographs"])
def test_it_runs_as_it_stands(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    follow(TUTORIALS / f"{page}.md", capsys)
    for results in Path("runs").glob("*/results.json"):
        assert {row["method"] for row in json.loads(results.read_text())["rows"]} >= {"single", "uniform", "kd4mtl"}
    if page == "photographs":
        assert len(list(Path("predictions").glob("*.depth.png"))) == 60
        assert Path("predictions/contact-sheet.jpg").exists()
        assert Path("student.onnx").exists()


@pytest.mark.slow  # it trains, in a kernel of its own
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason="notebooks: pip install nbclient ipykernel")
    client = pytest.importorskip("nbclient", reason="notebooks: pip install nbclient ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    shown = nbformat.read(TUTORIALS / "notebook.ipynb", as_version=4)
    notebook = nbformat.read(TUTORIALS / "notebook.ipynb", as_version=4)
    client.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for before, after in zip(shown.cells, notebook.cells, strict=True):
        assert kinds(before) == kinds(after)  # what is stored in the file is what comes out, but for the numbers


def kinds(cell: dict[str, Any]) -> list[list[str]]:
    """Of what a cell printed."""
    outputs = [output for output in cell.get("outputs", ()) if output.get("name") != "stderr"]
    return [sorted(output.get("data", output["output_type"])) for output in outputs]


def test_the_notebook_was_run_from_top_to_bottom_without_an_error() -> None:
    cells = json.loads((TUTORIALS / "notebook.ipynb").read_text())["cells"]
    run = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in run] == [*range(1, len(run) + 1)]
    outputs = [output for cell in run for output in cell["outputs"]]
    assert not [x for x in outputs if x["output_type"] == "error" or x.get("name") == "stderr"]
    assert sum("image/png" in x.get("data", {}) for x in outputs) == 2
