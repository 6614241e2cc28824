import re
from pathlib import Path

from tests.report.folder import TASKS, log, specify, write
from tests.report.page import page

from tutelage.report.charts import Chart
from tutelage.report.results import Results
from tutelage.report.sections.training import training


def titles(chart: Chart) -> list[str]:
    """The titles of a chart's panels."""
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", "".join(chart.panels))
    return [text for text in texts if "/" in text or text in (*TASKS, "dino")]


def test_a_torn_line_hides_no_curve(tmp_path: Path) -> None:
    write(tmp_path)
    before = training(Results(tmp_path, TASKS))
    with (tmp_path / "kd4mtl/seed0/log.jsonl").open("a") as file:
        file.write('{"step": 4, "epoch": 2.0, "loss/seg')
    assert training(Results(tmp_path, TASKS)) == before
    assert "Distances to the teachers" in page(tmp_path).text


def test_distances_are_shown_by_teacher_and_tap(tmp_path: Path) -> None:
    write(tmp_path)
    specify(
        tmp_path,
        "kd4mtl",
        {
            "dino": {"tasks": [], "kind": "features", "run": None},
            "depth": {"tasks": ["depth"], "kind": "single", "run": "single/depth/seed0"},
        },
    )
    log(tmp_path, "kd4mtl/seed0", {"epoch": 2, "distance/dino/last": 1.0, "distance/depth/bottleneck": 1.0})
    section = training(Results(tmp_path, TASKS))
    assert section is not None
    assert section.distances is not None
    shown = titles(section.distances)
    assert shown == ["depth/bottleneck", "depth/last", "dino/last", "segmentation/last"]
    lines = re.findall(r'id="distances-\d-curve-(\d)"', "".join(section.distances.panels))
    assert {section.picker[int(number)][1].name for number in lines} == {"kd4mtl"}


def test_a_teacher_without_a_task_may_have_a_weight(tmp_path: Path) -> None:
    write(tmp_path)
    specify(tmp_path, "kd4mtl", {"dino": {"tasks": [], "kind": "features", "run": None}})
    log(tmp_path, "kd4mtl/seed0", *({"epoch": epoch, "weight/dino": epoch / 2} for epoch in (2, 3)))
    section = training(Results(tmp_path, TASKS))
    assert section is not None
    assert section.weights is not None
    assert titles(section.weights) == ["segmentation", "depth", "dino"]


def test_weights_that_do_not_change_are_not_shown(tmp_path: Path) -> None:
    write(tmp_path, methods=["uniform"])
    log(tmp_path, "uniform/seed0", *({"epoch": epoch, "weight/depth": 1.0} for epoch in (2, 3)))
    section = training(Results(tmp_path, TASKS))
    assert section is not None
    assert section.weights is None


def test_no_logs_no_section(tmp_path: Path) -> None:
    for path in write(tmp_path).rglob("log.jsonl"):
        path.unlink()
    assert training(Results(tmp_path, TASKS)) is None
