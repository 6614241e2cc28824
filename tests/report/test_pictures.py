import io
import json
import re
from base64 import b64decode
from pathlib import Path

import pytest
import safetensors.torch
import torch
from PIL import Image
from tests.report.folder import TASKS, write
from tests.report.page import page

from tutelage.report import write_report
from tutelage.report.predictions import Predictions


def test_pictures_are_those_of_the_runs(tmp_path: Path) -> None:
    shown = [of for tag, of in page(write(tmp_path)).tags if tag == "img" and "src" in of]
    images = [of["src"] for of in shown]
    # Two scenes: an image, and two tasks of truth and three methods; the second scene has no truth.
    assert len(images) == 2 * (1 + 2 * 4) - 2
    names = {f"{t}, {m}" for t in TASKS for m in ("truth", "single", "uniform", "kd4mtl")}
    assert {of["alt"] for of in shown} == names | {"image 1", "image 2"}
    assert {of["src"].split(";")[0] for of in shown} == {"data:image/webp"}
    for source in images:
        with Image.open(io.BytesIO(b64decode(source.split(",")[1]))) as picture:
            assert picture.size == (12, 8)


def test_a_prediction_has_its_metric_on_the_image(tmp_path: Path) -> None:
    titles = [of["title"] for tag, of in page(write(tmp_path)).tags if tag == "button" and "title" in of]
    assert titles.count("depth, kd4mtl: abs_err 0.5000 m") == 1
    assert titles.count("depth, kd4mtl") == 1  # the second image has no label


def test_the_best_and_the_worst_image_come_first(tmp_path: Path) -> None:
    write(tmp_path)
    record = {"run": "kd4mtl/seed0", "method": "kd4mtl", "of": 40, "best": [7], "worst": [3]}
    (tmp_path / "extremes.json").write_text(json.dumps(record))
    for path in list(tmp_path.rglob("predictions.safetensors")):
        one = {name: x[:1].clone() for name, x in safetensors.torch.load_file(path).items()}
        for index in (7, 3):
            safetensors.torch.save_file(one, path.with_name(f"test-{index}.safetensors"))
    shown = page(tmp_path)
    names = [
        of["alt"] for tag, of in shown.tags if tag == "img" and str(of["alt"]).startswith(("image", "best", "worst"))
    ]
    assert names == ["best", "worst", "image 1", "image 2"]
    assert "by the main metrics of kd4mtl on 40 images" in " ".join(shown.text.split())


@pytest.mark.parametrize("record", ["{", "[]", '{"best": 3, "of": "x"}', '{"best": ["../x"], "worst": [1], "of": 2}'])
def test_a_damaged_record_hides_no_picture(tmp_path: Path, record: str) -> None:
    (write(tmp_path) / "extremes.json").write_text(record)
    assert "image 1" in {of["alt"] for tag, of in page(tmp_path).tags if tag == "img"}


def test_columns_say_what_their_networks_are(tmp_path: Path) -> None:
    shown = page(write(tmp_path, methods=("uniform", "kd4mtl", "probe")))
    assert "teachersbaselinesstudentscontrols" in "".join(shown.text.split())


def test_many_large_pictures_make_no_page_above_8_mb(tmp_path: Path) -> None:
    write(tmp_path, methods=[f"method{index}" for index in range(12)])
    noise = torch.rand(8, 1, 240, 320).half() * 10
    for path in tmp_path.rglob("predictions.safetensors"):
        tensors = {"image": torch.randint(0, 256, (8, 3, 240, 320), dtype=torch.uint8), "prediction/depth": noise}
        safetensors.torch.save_file(tensors, path)
    write_report(tmp_path, {"depth": TASKS["depth"]})
    assert 3e6 < (tmp_path / "report.html").stat().st_size < 8e6


def test_every_source_has_its_own_tables(tmp_path: Path) -> None:
    folder = write(tmp_path / "runs")
    for path in folder.rglob("predictions.safetensors"):
        tensors = safetensors.torch.load_file(path)
        parts = {f"<indoor>/{name}": x for name, x in tensors.items()}
        parts |= {f"streets/{n}": x.clone() for n, x in tensors.items() if not n.endswith("/segmentation")}
        parts["bare/image"] = tensors["image"].clone()  # without a label of any task
        safetensors.torch.save_file(parts, path)
    tables = write_report(folder, TASKS).read_text().split("Predictions</h2>")[1].split("<h2")[0]
    assert re.findall(r"<h3>(.*?)</h3>", tables) == ["&lt;indoor&gt;", "streets"]
    assert tables.count("<table") == 2 * len(tensors["image"])


def test_a_task_may_be_called_image(tmp_path: Path) -> None:
    file = tmp_path / "predictions.safetensors"
    safetensors.torch.save_file(
        {"image": torch.zeros(2, 3, 4, 4, dtype=torch.uint8), "prediction/image": torch.zeros(2)}, file
    )
    assert Predictions(file).sources == [""]


def test_no_run_has_no_predictions() -> None:
    assert len(Predictions(None)) == 0


def test_a_run_with_fewer_images_has_none_of_the_others(tmp_path: Path) -> None:
    path = write(tmp_path) / "single/depth/seed0/predictions.safetensors"
    safetensors.torch.save_file({name: x[:1].clone() for name, x in safetensors.torch.load_file(path).items()}, path)
    names = [of["alt"] for tag, of in page(tmp_path).tags if tag == "img" and of["alt"]]
    assert names.count("depth, single") == names.count("depth, truth") == 1
    assert names.count("depth, kd4mtl") == 2
