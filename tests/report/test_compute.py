"""The compute of a method in plain steps of the student."""

import json
from pathlib import Path

import pytest
from tests.report.folder import TASKS, write
from tests.report.page import page

from tutelage.report import markdown, table
from tutelage.report.compute import student_steps
from tutelage.report.results import Results

STEP = {"single/segmentation": 60, "single/depth": 50, "uniform": 100, "kd4mtl": 140}
NEEDS = {"kd4mtl": ["single/segmentation/seed0", "single/depth/seed0"]}


def counted(folder: Path) -> Path:
    """20 steps of each network; a plain step of the student has 100 operations."""
    write(folder)
    for run, step in STEP.items():
        place = folder / run / "seed0"
        plain = step if run.startswith("single") else 100
        (place / "cost.json").write_text(json.dumps({"training": {"step": step, "plain": plain}}))
        (place / "spec.json").write_text(json.dumps({"needs": NEEDS.get(run, [])}))
        result = json.loads((place / "result.json").read_text())
        (place / "result.json").write_text(json.dumps(result | {"steps": 20}))
    return folder


def test_a_method_costs_its_own_steps_and_those_of_its_teachers(tmp_path: Path) -> None:
    results = Results(counted(tmp_path), TASKS)
    assert {m: student_steps(results, m) for m in results.methods} == {"single": 22, "uniform": 20, "kd4mtl": 28 + 22}
    text = markdown(tmp_path, TASKS)
    assert "| depth abs_err m ↓ | cost training steps |" in text
    assert "| `kd4mtl` | paper | 1 | +4.17 | 42.00 | 0.5800 | 50 |" in text
    assert "plain steps of the student" in " ".join(page(tmp_path).text.split())
    assert [str(c.header) for c in table(tmp_path, TASKS, width=200).columns][-1] == "\ntraining\nsteps"


def test_given_weights_cost_nothing_here(tmp_path: Path) -> None:
    (counted(tmp_path) / "single/depth/seed0/spec.json").write_text('{"needs": [], "file": "depth.safetensors"}')
    results = Results(tmp_path, TASKS)
    assert student_steps(results, "kd4mtl") == 28 + 12


def test_what_is_read_from_the_cache_counts_once_whoever_reads_it(tmp_path: Path) -> None:
    place = counted(tmp_path) / "kd4mtl/seed0/cost.json"
    cached = {"a": {"step": 12, "fill": 300}, "b": {"step": 18, "fill": 500}}
    place.write_text(json.dumps({"training": {"step": 140, "plain": 100, "cached": cached}}))
    assert student_steps(Results(tmp_path, TASKS), "kd4mtl") == 20 * 1.1 + 8 + 22
    # Its teacher read one of the two, and another one, as a born-again network's does.
    other = {"b": {"step": 10, "fill": 500}, "c": {"step": 0, "fill": 100}}
    (tmp_path / "single/depth/seed0/cost.json").write_text(json.dumps({"training": {"step": 50, "cached": other}}))
    assert student_steps(Results(tmp_path, TASKS), "kd4mtl") == 20 * 1.1 + 8 + 1 + 20 * 0.4 + 20 * 0.6
    for broken in ([], {"a": 3}, {"a": {"step": "few", "fill": 300}}, {"a": {"step": 12}}):
        place.write_text(json.dumps({"training": {"step": 140, "plain": 100, "cached": broken}}))
        assert student_steps(Results(tmp_path, TASKS), "kd4mtl") == 28 + 6 + 20 * 0.4 + 20 * 0.6


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("single/depth/seed0/cost.json", "{}"),
        ("single/depth/seed0/cost.json", '{"training": {"step": "many"}}'),
        ("single/depth/seed0/cost.json", '{"training": [1]}'),
        ("single/depth/seed0/result.json", "{}"),
    ],
)
def test_a_run_that_was_not_measured_leaves_a_dash(file: str, text: str, tmp_path: Path) -> None:
    (counted(tmp_path) / file).write_text(text)
    results = Results(tmp_path, TASKS)
    assert {m: student_steps(results, m) for m in results.methods} == {"single": None, "uniform": 20, "kd4mtl": None}


def test_needs_outside_the_study_are_not_read(tmp_path: Path) -> None:
    (counted(tmp_path) / "uniform/seed0/spec.json").write_text(
        '{"needs": ["../../elsewhere", 3, "single/depth/seed0"]}'
    )
    assert student_steps(Results(tmp_path, TASKS), "uniform") == 20 + 10


def test_earlier_folders_have_no_such_column(tmp_path: Path) -> None:
    assert "training steps" not in markdown(write(tmp_path), TASKS)
