import io
import re
from base64 import b64decode
from pathlib import Path

import safetensors.torch
import torch
from PIL import Image
from tests.report.folder import TASKS, write
from tests.report.page import page

from tutelage.report import write_report
from tutelage.report.pictures import Predictions


def test_pictures_are_those_of_the_runs(tmp_path: Path) -> None:
    shown = [of for tag, of in page(write(tmp_path)).tags if tag == "img"]
    images = [of["src"] for of in shown]
    # Two scenes: an image, and two tasks of truth and three methods; the second scene has no truth.
    assert len(images) == 2 * (1 + 2 * 4) - 2
    names = {f"{t}, {m}" for t in TASKS for m in ("truth", "single", "uniform", "kd4mtl")}
    assert {of["alt"] for of in shown} == names | {"image 1", "image 2"}
    for source in images:
        with Image.open(io.BytesIO(b64decode(source.split(",")[1]))) as picture:
            assert picture.size == (12, 8)


def test_every_source_has_its_own_tables(tmp_path: Path) -> None:
    folder = write(tmp_path / "runs")
    for path in folder.rglob("predictions.safetensors"):
        tensors = safetensors.torch.load_file(path)
        parts = {f"<indoor>/{name}": x for name, x in tensors.items()}
        parts |= {f"streets/{n}": x.clone() for n, x in tensors.items() if not n.endswith("/segmentation")}
        parts["bare/image"] = tensors["image"].clone()  # without a label of any task
        safetensors.torch.save_file(parts, path)
    tables = write_report(folder, TASKS).read_text().split("<h2>Predictions</h2>")[1].split("<h2>")[0]
    assert re.findall(r"<h3>(.*?)</h3>", tables) == ["&lt;indoor&gt;", "streets"]
    assert tables.count("<table") == 2 * len(tensors["image"])


def test_a_task_may_be_called_image(tmp_path: Path) -> None:
    tensors = {"image": torch.zeros(2, 3, 4, 4, dtype=torch.uint8), "prediction/image": torch.zeros(2)}
    safetensors.torch.save_file(tensors, tmp_path / "predictions.safetensors")
    assert Predictions(tmp_path).sources == [""]


def test_no_run_has_no_predictions() -> None:
    assert len(Predictions(None)) == 0


def test_a_run_with_fewer_images_has_none_of_the_others(tmp_path: Path) -> None:
    path = write(tmp_path) / "single/depth/seed0/predictions.safetensors"
    safetensors.torch.save_file({name: x[:1].clone() for name, x in safetensors.torch.load_file(path).items()}, path)
    names = [of["alt"] for tag, of in page(tmp_path).tags if tag == "img"]
    assert names.count("depth, single") == names.count("depth, truth") == 1
    assert names.count("depth, kd4mtl") == 2
