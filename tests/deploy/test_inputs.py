from pathlib import Path

import pytest
import torch
from tests.deploy.files import picture, reads_video, video

from tutelage.deploy import find_images
from tutelage.deploy.inputs import read_images
from tutelage.errors import UserError
from tutelage.pictures import PICTURES


def test_files_are_called_by_their_stem(tmp_path: Path) -> None:
    a, b = picture(tmp_path / "x/a.v2.png"), picture(tmp_path / "b.jpg")
    assert find_images([a, str(b)]) == {"a.v2": a, "b": b}
    assert list(find_images([b, a])) == ["b", "a.v2"]


def test_a_folder_means_what_is_in_it_and_below(tmp_path: Path) -> None:
    for name in ("b.png", "a/b.JPG", "a/clip.mp4", ".hidden.png", ".cache/x.png", "notes.txt", "out/b.depth.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert find_images([tmp_path / "out/b.depth.png"], tmp_path / "out").keys() == {"b.depth"}  # it is meant by name
    images = find_images([tmp_path], leave_out=tmp_path / "out")
    assert images == {"a/b": tmp_path / "a/b.JPG", "a/clip": tmp_path / "a/clip.mp4", "b": tmp_path / "b.png"}


def test_a_folder_has_the_pictures_that_training_finds_in_it(tmp_path: Path) -> None:
    for suffix in PICTURES:
        (tmp_path / f"{suffix[1:]}{suffix}").touch()
    assert find_images([tmp_path]).keys() == {suffix[1:] for suffix in PICTURES}


def test_a_pattern_means_what_it_matches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("x/1/img.png", "x/2/img.png", "x/2/notes.txt", "[1].png"):
        picture(Path(name)) if name.endswith("png") else Path(name).touch()
    assert list(find_images(["x/*/img.png"])) == ["1/img", "2/img"]
    assert list(find_images([tmp_path / "x/**/*.png"])) == ["1/img", "2/img"]
    assert find_images(["*/1/*.png"]) == {"x/1/img": Path("x/1/img.png")}
    assert find_images(["[1].png"]) == {"[1]": Path("[1].png")}  # a file, not a pattern


def test_what_means_nothing_or_two_things_is_refused(tmp_path: Path) -> None:
    a = picture(tmp_path / "x/a.png")
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "*.png", tmp_path / "none.png"):
        with pytest.raises(ValueError, match="expected pictures or videos, found none"):
            find_images([path])
    with pytest.raises(ValueError, match=r"y/a.png: expected names that differ, found .*x/a.png, too"):
        find_images([a, picture(tmp_path / "y/a.png")])
    assert find_images([a, a]) == {"a": a}


def test_of_two_files_with_one_stem_both_have_their_suffix(tmp_path: Path) -> None:
    a, b, c = (picture(tmp_path / name) for name in ("a.jpg", "a.png", "c.png"))
    assert find_images([tmp_path]) == find_images([a, b, c]) == {"a.jpg": a, "a.png": b, "c": c}


def test_a_picture_with_the_name_of_a_frame_is_refused(tmp_path: Path) -> None:
    for name in ("clip.mp4", "clip.000001.png", "photo.000001.png", "photo.png"):
        (tmp_path / name).touch()
    line = (
        r"clip.000001.png: expected names that differ, found that of a frame of .*clip.mp4; write them to two folders"
    )
    with pytest.raises(UserError, match=line):
        find_images([tmp_path])
    (tmp_path / "clip.mp4").unlink()
    assert find_images([tmp_path]).keys() == {"clip.000001", "photo.000001", "photo"}


@pytest.mark.parametrize("path", [".", "**/*.png"])
def test_links_are_followed_once_as_training_does(tmp_path: Path, path: str) -> None:
    (tmp_path / "x").mkdir()
    picture(tmp_path / "elsewhere/b.png")
    picture(tmp_path / "x/a.png")
    (tmp_path / "x/sub").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "x/loop").symlink_to(tmp_path / "x")
    assert find_images([tmp_path / "x" / path]).keys() == {"a", "sub/b"}


@pytest.mark.parametrize("path", [".", "**/*.png"])
def test_several_links_to_a_folder_add_nothing(tmp_path: Path, path: str) -> None:
    picture(tmp_path / "x/m/1.png")
    picture(tmp_path / "elsewhere/2.png")
    for link, folder in (("a", "x/m"), ("z", "x/m"), ("l", "elsewhere"), ("o", "elsewhere")):
        (tmp_path / "x" / link).symlink_to(tmp_path / folder)
    assert find_images([tmp_path / "x" / path]).keys() == {"m/1", "l/2"}


def test_the_folder_of_the_predictions_is_none_to_predict(tmp_path: Path) -> None:
    picture(tmp_path / "x/a.png")
    line = r"x: expected pictures or videos outside of .*, where predictions are written, found 1 in it alone"
    for out in (tmp_path / "x", tmp_path):
        with pytest.raises(UserError, match=line):
            find_images([tmp_path / "x"], leave_out=out)


@reads_video
def test_every_nth_frame_has_its_number(tmp_path: Path) -> None:
    path = video(tmp_path / "clip.mp4", 5)
    frames = dict(read_images("x/clip", path, every=2))
    assert list(frames) == ["x/clip.000000", "x/clip.000002", "x/clip.000004"]
    for name, image in frames.items():
        expected = torch.full((3, 32, 48), 20 * int(name[-1]) / 255)
        torch.testing.assert_close(image, expected, atol=5 / 255, rtol=0)
