import json
import math
from pathlib import Path

import pytest
from tests.report.folder import TASKS, write
from tests.report.page import Page, page

from tutelage.report import write_report
from tutelage.report.charts import Panels, add_curve

TITLE = "Conflict between tasks"
PAIR = ("segmentation", "depth")


def observe(folder: Path, method: str, *cosines: float, pair: tuple[str, str] = PAIR) -> None:
    a, b = pair
    lines = [
        {"step": step, "epoch": step, f"gradient/norm/{a}": 2.0, f"gradient/norm/{b}": 0.1 * step,
         f"gradient/cosine/{a}/{b}": cosine, "gradient/conflicting": float(cosine < 0)}
        for step, cosine in enumerate(cosines, 1)
    ]  # fmt: skip
    with (folder / method / "seed0" / "log.jsonl").open("a") as log:
        log.writelines(json.dumps(line) + "\n" for line in lines)


def section(shown: Page) -> str:
    text = shown.text[shown.text.index(TITLE) :]
    return " ".join(text[: text.index("Health of distillation")].split())


def test_the_section_has_the_logs_numbers(tmp_path: Path) -> None:
    write(tmp_path)
    observe(tmp_path, "uniform", -0.5, 0.1, -0.2)
    observe(tmp_path, "kd4mtl", 0.25, 0.75)
    shown = page(tmp_path)
    text = section(shown)
    assert "uniform-0.200673 kd4mtl+0.50002" in text  # mean of the cosines, % in conflict, steps
    assert shown.text.index("Weights") < shown.text.index(TITLE)
    labels = [of.get("aria-label") for tag, of in shown.tags if tag == "figure"]
    assert {"Cosine of two tasks' gradients", "Norm of each task's gradient"} <= set(labels)
    assert "segmentation / depth" in text


def test_runs_without_the_keys_show_nothing(tmp_path: Path) -> None:
    assert TITLE not in page(write(tmp_path)).text
    observe(tmp_path, "uniform", 0.5)  # the other is an older run
    assert "kd4mtl" not in section(page(tmp_path))


def test_the_order_of_a_pair_is_that_of_the_step(tmp_path: Path) -> None:
    write(tmp_path)
    observe(tmp_path, "uniform", -0.5)
    observe(tmp_path, "uniform", -0.3, pair=("depth", "segmentation"))
    assert "uniform-0.4001002" in section(page(tmp_path))


def test_names_are_escaped(tmp_path: Path) -> None:
    task, method = "<script>t</script>", "<b>m$x$"
    write(tmp_path, methods=[method])
    observe(tmp_path, method, -0.5, pair=(task, "depth"))
    shown = Page(write_report(tmp_path, {task: TASKS["depth"], "depth": TASKS["depth"]}).read_text())
    assert "b" not in {tag for tag, _ in shown.tags}
    assert shown.scripts == 1
    text = shown.text[shown.text.index(TITLE) :]
    assert f"{method}-0.500" in text
    assert f"{task} / depth" in text


@pytest.mark.parametrize("cosine", [math.nan, 0.0, 1.0, -1.0])
def test_any_cosine_can_be_shown(tmp_path: Path, cosine: float) -> None:
    write(tmp_path)
    observe(tmp_path, "uniform", cosine, cosine)
    assert f"uniform{cosine:+.3f}" in section(page(tmp_path))


def test_long_curves_become_means() -> None:
    x = list(range(1, 8))
    panels: Panels = {}
    add_curve(panels, "long", "uniform", (x, [2 * e for e in x]), points=3)
    add_curve(panels, "short", "uniform", (x, x), points=7)
    add_curve(panels, "none", "uniform", ([], []), points=3)
    assert panels == {"long": {"uniform": ([2, 5, 7], [4, 10, 14])}, "short": {"uniform": (x, x)}}


def test_twenty_methods_some_without_weights_some_with_huge_ones(tmp_path: Path) -> None:
    methods = [f"method{index}" for index in range(20)]
    write(tmp_path, methods=[*methods, "kd4mtl"])
    for method in methods:
        observe(tmp_path, method, -0.1, 0.2)
    log = tmp_path / "method3" / "seed0" / "log.jsonl"
    huge = {"epoch": 2.0, **{f"weight/{t}": 1e3 for t in PAIR}}
    log.write_text(log.read_text() + json.dumps(huge | {"weight/depth": 2e3}) + "\n" + json.dumps(huge) + "\n")
    shown = page(tmp_path)
    text = section(shown)
    assert all(f"{method}+0.050502" in text for method in methods)
    legend = [of["class"] for tag, of in shown.tags if tag == "i" and str(of.get("class")).startswith("dash")]
    assert {"dash0", "dash1", "dash2"} <= set(legend)
