from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.deploy.conftest import make
from tests.deploy.files import picture, reads_video, video

from tutelage.deploy import Predicted, find_images, predict_files
from tutelage.deploy.write import KINDS, SUFFIXES, as_picture, describe
from tutelage.errors import UserError
from tutelage.images import as_image
from tutelage.tasks import Classification, MultiLabel, Regression


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_every_prediction_is_written_in_every_kind(tmp_path: Path) -> None:
    predictor, out = make(), tmp_path / "out"
    images = {"a": picture(tmp_path / "a.png"), "b/c.v2": picture(tmp_path / "c.v2.jpg")}
    noted: list[Predicted] = []
    done, sheets = predict_files(predictor, images, out, KINDS, note=noted.append)
    assert noted == done
    assert [predicted.name for predicted in done] == ["a", "b/c.v2"]
    written = {path for path in out.rglob("*") if path.is_file()}
    assert written == {file for predicted in done for file in predicted.files} | set(sheets)
    assert len(written) == 2 * 3 * 4 + 1
    for t, value in predictor.predict(images["a"]).items():
        drawn = predictor.tasks[t].draw(value)
        assert np.array_equal(np.load(out / f"a.{t}.npy"), value.numpy())
        assert np.array_equal(pixels(out / f"a.{t}.png"), drawn)
        assert np.array_equal(pixels(out / f"a.{t}.label.png"), predictor.tasks[t].encode(value))
        mean = (drawn.astype(float) + as_picture(as_image(images["a"]))) / 2
        assert np.abs(pixels(out / f"a.{t}.overlay.jpg") - mean).mean() < 8  # JPEG
    depth = np.load(out / "a.depth.npy")[0]
    millimetres = pixels(out / "a.depth.label.png")
    assert millimetres.dtype == np.uint16
    assert np.array_equal(millimetres, np.rint(depth.clip(0).astype(np.float64) * 1000))


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_is_written_alone(kind: str, tmp_path: Path) -> None:
    done, sheets = predict_files(make(), {"a": picture(tmp_path / "a.png")}, tmp_path / "out", [kind])
    names = {file.name for predicted in done for file in predicted.files}
    tasks = ("segmentation", "depth", "normals")
    assert names == ({f"a.{t}{SUFFIXES[kind]}" for t in tasks} if kind in SUFFIXES else set())
    assert [file.name for file in sheets] == (["contact-sheet.jpg"] if kind == "sheet" else [])


def test_a_batch_gives_what_each_image_gives_alone(tmp_path: Path) -> None:
    predictor = make()
    images = {f"{i}": picture(tmp_path / f"{i}.png", size) for i, size in enumerate([(40, 48), (32, 64), (50, 20)])}
    sizes: list[int] = []
    net = predictor.net.forward
    predictor.net.forward = lambda x, **kwargs: (sizes.append(len(x)), net(x, **kwargs))[1]
    predict_files(predictor, images, tmp_path / "out", ["array"], batch_size=2)
    assert sizes == [2, 1]
    for name, path in images.items():
        for t, value in predictor.predict(path).items():
            torch.testing.assert_close(
                torch.from_numpy(np.load(tmp_path / f"out/{name}.{t}.npy")), value, rtol=1e-4, atol=1e-5
            )


def test_without_a_size_images_of_one_size_are_a_batch() -> None:
    predictor = make(size=None)
    images = [torch.rand(3, *size) for size in ((32, 64), (48, 32), (32, 64))]
    for image, prediction in zip(images, predictor.predict_several(images), strict=True):
        for t, value in predictor.predict(image).items():
            torch.testing.assert_close(prediction[t], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_it_goes_on_after_what_it_cannot_predict(batch_size: int, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    names = ("a", "bad", "small", "z")
    images = {name: tmp_path / f"{name}.png" for name in names}
    for name, size in (("a", (40, 48)), ("small", (8, 8)), ("z", (40, 48))):
        picture(images[name], size)
    done, _ = predict_files(make(size=None), images, tmp_path / "out", ["picture"], batch_size)
    assert [predicted.name for predicted in done] == list(names)
    problems = {predicted.name: predicted.problem for predicted in done if predicted.problem}
    assert list(problems) == ["bad", "small"]
    assert problems["bad"].startswith(f"{images['bad']}: expected a readable .png file, found cannot identify image")
    assert problems["small"].startswith(f"{images['small']}: SegNet: expected images of at least 32x32")
    assert sorted({file.name[0] for predicted in done for file in predicted.files}) == ["a", "z"]


def test_it_goes_on_after_a_name_that_is_too_long_for_its_files(tmp_path: Path) -> None:
    images = {name: picture(tmp_path / f"{name}.png") for name in ("a", "x" * 250, "z")}
    done, _ = predict_files(make(), images, tmp_path / "out", ["picture"])
    assert [bool(predicted.files) for predicted in done] == [True, False, True]
    assert "expected a name that is short enough for the files of predictions, found 254 letters;" in done[1].problem


def test_what_is_not_finite_is_no_prediction(tmp_path: Path) -> None:
    """The most likely class of nan is class 0."""
    predictor = make()
    for x in predictor.net.parameters():
        x.data.fill_(1e30)
    image = torch.rand(3, 32, 64)
    for predict in (predictor.predict, lambda x: predictor.predict(x[None]), lambda x: predictor.predict_several([x])):
        with pytest.raises(UserError, match=r"^tasks.\w+: expected finite outputs, found nan or inf; train"):
            predict(image)
    done, _ = predict_files(predictor, {"a": picture(tmp_path / "a.png")}, tmp_path / "out", ["array"])
    assert "expected finite outputs" in done[0].problem


@reads_video
def test_frames_of_a_video_are_images(tmp_path: Path) -> None:
    images, out = {"clip": video(tmp_path / "clip.mp4", 5)}, tmp_path / "out"
    done, _ = predict_files(make(), images, out, ["label"], batch_size=2, every=2)
    assert [predicted.name for predicted in done] == ["clip.000000", "clip.000002", "clip.000004"]
    with pytest.raises(ValueError, match=r"clip\.00000\d\.\w+\.label\.png: expected no such file yet"):
        predict_files(make(), images, out, ["label"])


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    predictor, out = make("ResNet"), tmp_path / "out"
    images = find_images([picture(tmp_path / "a.png"), picture(tmp_path / "b.png")])
    out.mkdir()
    (out / "b.angle.npy").write_text("mine")
    with pytest.raises(ValueError, match=r"b.angle.npy: expected no such file yet"):
        predict_files(predictor, images, out, KINDS)
    assert [path.name for path in out.iterdir()] == ["b.angle.npy"]
    predict_files(predictor, images, out, KINDS, overwrite=True)
    assert np.load(out / "b.angle.npy").shape == (2,)


def test_numbers_have_to_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected numbers of at least 1"):
        predict_files(make(), {}, tmp_path, batch_size=0)


def test_too_little_memory_of_a_gpu_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(images: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee docs")

    predictor = make()
    monkeypatch.setattr(predictor, "predict_several", full)
    with pytest.raises(ValueError, match="--batch-size: expected images that fit into the memory of the GPU, found 1"):
        predict_files(predictor, {"a": picture(tmp_path / "a.png")}, tmp_path / "out")


def test_values_of_whole_images_are_words_that_do_not_command_the_terminal(tmp_path: Path) -> None:
    predictor = make("ResNet")
    predictor.tasks["digit"] = Classification(5, [f"\x1b[2J{k}" for k in range(5)])
    (done,), _ = predict_files(predictor, {"a": picture(tmp_path / "a.png")}, tmp_path / "out", KINDS)
    assert list(done.values) == ["digit", "angle"]
    assert done.values["digit"].isprintable()
    assert done.values["angle"].count("deg") == 2
    assert {file.name for file in done.files} == {f"a.{t}.{end}" for t in predictor.tasks for end in ("png", "npy")}


def test_values_have_names_and_units() -> None:
    assert describe(Classification(2, ["cat", "dog"]), torch.tensor(1)) == "dog"
    assert describe(Regression(1, unit="m"), torch.tensor([0.25])).endswith("0.25 m")
    assert describe(MultiLabel(2, ["wet", "cold"]), torch.tensor([0.5, 1.0])) == "wet 0.5, cold 1"
