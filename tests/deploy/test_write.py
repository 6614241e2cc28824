from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.deploy.conftest import make

from tutelage.deploy import predict_files
from tutelage.deploy.write import describe
from tutelage.tasks import Classification, MultiLabel, Regression


def picture(path: Path, size: tuple[int, int] = (40, 48)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
    return path


def test_every_prediction_is_a_picture_and_an_array(tmp_path: Path) -> None:
    predictor, images = make(), [picture(tmp_path / "a.png"), picture(tmp_path / "b.v2.jpg")]
    lines: list[str] = []
    predict_files(predictor, images, tmp_path / "out", note=lines.append)
    assert sorted(lines) == sorted(str(path) for path in (tmp_path / "out").iterdir())
    assert len(lines) == 12
    for t, value in predictor.predict(images[0]).items():
        assert np.array_equal(np.load(tmp_path / f"out/a.{t}.npy"), value.numpy())
        with Image.open(tmp_path / f"out/a.{t}.png") as drawn:
            assert np.array_equal(np.asarray(drawn), predictor.tasks[t].draw(value))


def test_values_of_whole_images_are_said(tmp_path: Path) -> None:
    lines: list[str] = []
    predict_files(make("ResNet"), [picture(tmp_path / "a.png")], tmp_path / "out", note=lines.append)
    assert len(lines) == 4
    assert "a.digit.png  class " in lines[0]
    assert lines[2].count("deg") == 2


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    predictor, out = make("ResNet"), tmp_path / "out"
    a, b = picture(tmp_path / "a.png"), picture(tmp_path / "b.png")
    out.mkdir()
    (out / "b.angle.npy").write_text("mine")
    with pytest.raises(ValueError, match=r"b.angle.npy: expected no such file yet"):
        predict_files(predictor, [a, b], out)
    assert [path.name for path in out.iterdir()] == ["b.angle.npy"]
    predict_files(predictor, [a, b], out, overwrite=True)
    assert np.load(out / "b.angle.npy").shape == (2,)
    with pytest.raises(ValueError, match="expected names that differ"):
        predict_files(predictor, [a, picture(tmp_path / "other/a.jpg")], tmp_path / "new")
    with pytest.raises(ValueError, match="expected names that differ"):
        predict_files(predictor, [a, a], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_names_do_not_command_the_terminal(tmp_path: Path) -> None:
    predictor, lines = make("ResNet"), []
    predictor.tasks["digit"] = Classification(5, [f"\x1b[2J{k}" for k in range(5)])
    predict_files(predictor, [picture(tmp_path / "a.png")], tmp_path / "out", note=lines.append)
    assert all(line.isprintable() for line in lines)


def test_values_have_names_and_units() -> None:
    assert describe(Classification(2, ["cat", "dog"]), torch.tensor(1)) == "dog"
    assert describe(Regression(1, unit="m"), torch.tensor([0.25])).endswith("0.25 m")
    assert describe(MultiLabel(2, ["wet", "cold"]), torch.tensor([0.5, 1.0])) == "wet 0.5, cold 1"
