from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import ExifTags, Image
from tests.deploy.files import picture, reads_video, video
from tests.deploy.study import write_study

from tutelage.cli import main, predict
from tutelage.deploy.write import Kind

TASKS = 3


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One student beside two single-task networks and a teacher."""
    runs = ("single/depth/seed0", "single/normals/seed0", "teacher/depth/seed0", "kd4mtl/seed0")
    return write_study(tmp_path_factory.mktemp("runs") / "kitchen", *runs)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    try:
        status = main(["predict", *map(str, arguments)])
    except SystemExit as end:  # of a mistake in the arguments
        status = int(str(end.code))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_it_writes_files_and_says_so(study: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = (study / "kd4mtl/seed0", picture(tmp_path / "photo.png"), "--out", out)
    status, text, error = run(capsys, *words)
    assert (status, error) == (0, "")
    first, *others = text.splitlines()
    assert first.startswith(f"predicted 1 of 1 images: {TASKS} files in {out} (")
    assert others == [f"sheet     {out / 'contact-sheet.jpg'}"]
    assert len(list(out.iterdir())) == TASKS + 1  # who wants more asks for it
    status, text, error = run(capsys, *words, "--overwrite", "--write", "picture,overlay,label,array")
    assert text.startswith(f"predicted 1 of 1 images: {4 * TASKS} files in {out} (")
    assert np.load(out / "photo.depth.npy").shape == (1, 40, 48)


def test_it_goes_on_after_a_file_that_is_no_picture(
    study: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "photos/out"
    for name in ("a.png", "below/z.png"):
        picture(photos / name)
    (photos / "b.jpg").write_text("no picture")
    words = (photos, "--out", out, "--write", "label,sheet", "--batch-size", "2", "--device", "cpu")
    status, text, error = run(capsys, study, *words)  # the study has one student
    assert status == 2
    assert text.startswith(f"predicted 2 of 3 images: {2 * TASKS} files in {out} (")
    assert error.startswith(f"tutelage: {photos}/b.jpg: expected a readable .jpg file, found cannot identify image")
    assert error.count("\n") == 1
    assert (out / "below/z.depth.label.png").exists()
    (photos / "b.jpg").unlink()
    status, text, error = run(capsys, study, *words, "--overwrite")
    assert (status, error) == (0, "")
    assert text.startswith("predicted 2 of 2 images")  # those in `out` are not meant


def test_it_says_once_which_images_it_turned(study: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    photos = [picture(tmp_path / f"photos/{name}.jpg") for name in ("a", "b", "c")]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # turned by 90 degrees
    for photo in photos[:2]:
        with Image.open(photo) as image:
            image.save(photo, exif=exif)
    status, text, error = run(capsys, study, tmp_path / "photos", "--out", tmp_path / "out", "--write", "array")
    assert (status, error) == (0, "")
    line = f"turned    2 of them, as their EXIF orientation says, and so their predictions: {photos[0]}, {photos[1]}"
    assert text.splitlines()[1:] == [line]
    turned, upright = (np.load(tmp_path / f"out/{name}.depth.npy").shape[1:] for name in ("a", "c"))
    assert turned == upright[::-1]


@reads_video
def test_it_takes_patterns_and_frames(study: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    video(tmp_path / "clip.mp4", 5)
    words = ("--out", tmp_path / "out", "--write", "picture", "--every", "2")
    status, text, _ = run(capsys, study, tmp_path / "*.mp4", *words)
    assert (status, text.splitlines()[0].split(" (")[0]) == (0, f"predicted 3 of 3 images: 9 files in {tmp_path}/out")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("none.png",), "none.png: expected a picture, video or folder, or a pattern, found none"),
        (("none*.png",), "none*.png: expected a picture, video or folder, or a pattern, found none"),
        (("empty",), "empty: expected pictures or videos, found none"),
        (("photo.png", "--out", "photo.png"), "--out: expected a folder, found the file photo.png; give another one"),
        (("photo.png", "--out", "photo.png/x"), "--out: expected a folder, found the file photo.png; give another one"),
        (("photo.png", "--size", "16", "16"), "photo.png: SegNet: expected images of at least 32x32"),
        (("photo.png", "--size", "0", "16"), "--size: expected a whole number of at least 1, found `0`"),
        (("photo.png", "--write", "label,map"), "expected some of picture,overlay,label,array,sheet, found `map`"),
        (("photo.png", "--device", "gpu"), "--device: expected auto, cpu, cuda, cuda:1 (a number) or mps, found `gpu`"),
        (("photo.png", "--batch-size", "0"), "--batch-size: expected a whole number of at least 1, found `0`"),
        (("photo.png", "below/photo.png"), "photo.png: expected names that differ, found photo.png, too"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: tuple[str, ...],
    expected: str,
    study: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    picture(Path("photo.png"))
    picture(Path("below/photo.png"))
    status, _, error = run(capsys, study, "--out", "out", *words)
    assert (status, error.count("\n")) == (2, 1)
    assert error.startswith("tutelage: ")
    assert expected in error


def test_the_kinds_are_those_that_are_written() -> None:
    assert get_args(Kind) == predict.KINDS
