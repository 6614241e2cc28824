"""The Python of docs/deploying.md runs, as it stands there, but for the GPU."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.deploy.fake_hub import FakeHub
from tests.deploy.files import picture
from tests.deploy.test_hub import point_to
from tests.pages import ROOT, blocks

from tutelage.cli import main
from tutelage.nets import SegNet
from tutelage.tasks import Depth

PAGE = ROOT / "docs/deploying.md"
LOAD, FILES, SAVE, OWN, HUB, ONNX = (block.text for block in blocks(PAGE, "python"))
TINY = ["--max-steps", "1", "--data.train", "8", "--data.test", "2", "--net.filters", "4,4,4,4,4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with one student, and photographs."""
    folder = tmp_path_factory.mktemp("deploying")
    words = ["run", "rooms-tiny", *TINY, "--methods", "kd4mtl", "--precision", "32-true"]
    assert main([*words, "--out", str(folder / "runs/rooms")]) == 0
    for name in ("photo.jpg", "photos/a.png", "photos/trip/b.jpg"):
        picture(folder / name)
    (folder / "photos/c.png").write_text("no picture")
    return folder


@pytest.fixture
def names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page has defined after its first block."""
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"images": torch.rand(2, 3, 40, 48)}
    assert LOAD.count('"cuda"') == 1
    exec(LOAD.replace('"cuda"', '"cpu"'), names)
    return names


def test_load_and_predict(names: dict[str, Any]) -> None:
    assert names["picture"].shape == (40, 48, 3)
    assert names["label"].dtype == np.uint16
    assert names["predictions"]["segmentation"].shape == (2, 40, 48)


def test_predict_files_goes_on_after_a_file_that_is_no_picture(
    names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    exec(FILES, names)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ["photo", "a", "c", "trip/b"]
    assert printed[3] == "trip/b ['b.segmentation.label.png', 'b.depth.label.png', 'b.normals.label.png']"
    assert "photos/c.png" in printed[2]
    with Image.open("predictions/photo.depth.label.png") as label:
        assert label.mode == "I;16"
    assert names["sheets"] == [Path("predictions/contact-sheet.jpg")]


def test_save(names: dict[str, Any]) -> None:
    exec(SAVE, names)
    names |= {"net": SegNet({"depth": 1}, width=0.5), "Depth": Depth}
    exec(OWN, names)
    assert names["tutelage"].load("depth.safetensors").size == (288, 384)


def test_the_hub(names: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub", reason="the hub needs the extra `hub`")
    exec(SAVE, names)
    with FakeHub() as fake:
        point_to(fake.url, monkeypatch, tmp_path)
        fake.files["someone/rooms"] = {"predictor.safetensors": Path("depth.safetensors").read_bytes()}
        exec(HUB.replace('"v1"', '"main"'), names)  # the only revision that this hub has
        assert "kd4mtl" in fake.files["someone/rooms"]["README.md"].decode()


@pytest.mark.slow  # seconds of tracing; tests/deploy/test_export.py runs the same in `make test`
def test_a_program_without_tutelage(names: dict[str, Any]) -> None:
    pytest.importorskip("onnxruntime", reason="pip install 'tutelage[onnx]'")
    assert "tutelage" not in ONNX
    assert main(["export", "runs/rooms/kd4mtl/seed0", "--out", "student.onnx"]) == 0
    exec(ONNX, names)
    assert names["predictions"]["normals"].shape == (3, 40, 48)
