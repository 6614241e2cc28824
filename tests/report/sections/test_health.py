import json
import math
from pathlib import Path

import pytest
from tests.report.folder import log, specify, write
from tests.report.page import page


def test_health_of_distillation(tmp_path: Path) -> None:
    shown = page(write(tmp_path)).text
    text = " ".join(shown[shown.index("Health of distillation") :].split())
    assert "The teachers by themselves: segmentation miou 40.00 %; depth abs_err 0.6000 m." in text
    line = text[text.index("kd4mtl", text.index("rank")) :]
    assert line.startswith("kd4mtldepthlast1.5000.500--0.3750.380.4")  # distance; no CKA; dead, norm, rank


def test_nothing_distilled_has_no_health(tmp_path: Path) -> None:
    assert "Health of distillation" not in page(write(tmp_path, methods=["uniform"])).text


def health(folder: Path) -> str:
    text = page(folder).text
    return " ".join(text[text.index("Health of distillation") : text.rindex("How it was made")].split())


def test_teachers_have_names(tmp_path: Path) -> None:
    """One teaches two tasks, two teach one task, one teaches none; their own metrics are those of their runs."""
    write(tmp_path)
    run = tmp_path / "teacher/indoor/seed0"
    run.mkdir(parents=True)
    metrics = {"segmentation": {"miou": 51.0}, "depth": {"abs_err": 0.25}}
    (run / "result.json").write_text(json.dumps({"metrics": {"dataset": metrics}}))
    specify(
        tmp_path,
        "kd4mtl",
        {
            "depth": {"tasks": ["depth"], "kind": "single", "run": "single/depth/seed0"},
            "indoor": {"tasks": ["segmentation", "depth"], "kind": "teacher", "run": "teacher/indoor/seed0"},
            "dino": {"tasks": [], "kind": "features", "run": None},
            "sam": {"tasks": ["segmentation"], "kind": "file", "run": None},
        },
    )
    log(
        tmp_path,
        "kd4mtl/seed0",
        {"epoch": 2, "distance/dino/last": 1.25, "distance/indoor/bottleneck": 0.75}
        | {"dead/dino/last": 0.125, "cka/dino/last": 0.5},
    )
    text = health(tmp_path)
    assert (
        "The teachers by themselves: depth abs_err 0.6000 m; "
        "indoor: segmentation miou 51.00 %, depth abs_err 0.2500 m; "
        "dino features alone; sam: segmentation unknown."
    ) in text
    assert "kd4mtldinolast1.2501.2500.5000.5000.125--" in text
    assert "kd4mtlindoorbottleneck0.7500.750-----" in text
    assert "kd4mtldepthlast" in text


def test_a_teacher_has_the_interval_of_its_seeds(tmp_path: Path) -> None:
    assert "segmentation miou 40.25 ± 0.62 %;" in health(write(tmp_path, seeds=(0, 1, 2)))


@pytest.mark.parametrize("undefined", [None, math.nan])
def test_a_teacher_without_a_defined_metric_has_a_dash(tmp_path: Path, undefined: float | None) -> None:
    metrics = {"depth": {"abs_err": undefined}}
    path = write(tmp_path) / "single/depth/seed0/result.json"
    path.write_text(json.dumps({"metrics": {"dataset": metrics}}))  # NaN: as earlier versions wrote it
    assert "depth abs_err - m." in health(tmp_path)


@pytest.mark.parametrize("suffixes", [("/0", "/1"), ("[0]", "[1]")])
def test_an_adaptor_of_several_matrices_has_a_norm_for_each(tmp_path: Path, suffixes: tuple[str, str]) -> None:
    write(tmp_path, methods=["mlp"])
    line = {"epoch": 1, "distance/depth/last": 1.0, "norm/depth/last2": 9.0}
    for value, suffix in enumerate(suffixes, 2):
        line |= {f"norm/depth/last{suffix}": value, f"rank/depth/last{suffix}": 10 * value}
    log(tmp_path, "mlp/seed0", line)
    assert "mlpdepthlast1.0001.000---2.00, 3.0020.0, 30.0" in health(tmp_path)
